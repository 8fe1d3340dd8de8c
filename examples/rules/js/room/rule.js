// A room with a host. Members hear of each other by name, and what one says reaches the others.
//
// Who comes in first is the room's host for good, and may silence others for ten minutes by saying `/mute NAME`.

import { Table } from "volley:router/ets@0.1.0";
import { Scope } from "volley:router/pg@0.1.0";

/** @typedef {import("volley:router/types@0.1.0").Event} Event */
/** @typedef {import("volley:router/types@0.1.0").Message} Message */
/** @typedef {import("volley:router/types@0.1.0").Outcome} Outcome */
/** @typedef {import("volley:router/types@0.1.0").SetOp} SetOp */

const MUTE_MS = 10n * 60n * 1000n;
const UNBOUNDED = 2n ** 64n - 1n;

/** @type {(text: string) => Uint8Array} */
const bytes = (text) => new TextEncoder().encode(text);
/** @type {(bytes: Uint8Array) => string} */
const text = (bytes) => new TextDecoder().decode(bytes);

/** @type {Table} topic -> the host's name */
let hosts;
/** @type {Table} topic, a space, a name; gone by itself */
let mutes;
/** @type {Scope} a group a topic */
let members;

/** @type {(name: string, ttlMs?: bigint) => Table} */
const open = (name, ttlMs) =>
  Table.open(name, { kind: "set", reach: "node", durable: false, ttlMs, maxObjects: UNBOUNDED, maxBytes: UNBOUNDED });

/** Who sent it; nobody, if a back-end did. @type {(event: Event) => BigUint64Array} */
const sender = (event) => new BigUint64Array(event.sender === undefined ? [] : [event.sender]);

/** What a table has under that key, or undefined. @type {(table: Table, key: string) => Uint8Array | undefined} */
const value = (table, key) => table.lookup([bytes(key)])[0][0];

/** @type {(event: Event) => SetOp} */
const everyone = (event) => ({ tag: "members", val: ["members", bytes(event.topic)] });
/** @type {(event: Event) => SetOp[]} */
const everyoneBut = (event) => [everyone(event), { tag: "pids", val: sender(event) }, { tag: "subtract" }];

/** @type {(to: SetOp[], message: Message) => Outcome} */
const answer = (to, message) => ({
  deliveries: [{ to: { tag: "expr", val: to }, message }],
  remove: new BigUint64Array(),
});
/** @type {(to: SetOp[]) => Outcome} */
const forward = (to) => answer(to, { tag: "forward" });
/** @type {(to: SetOp[], json: object) => Outcome} */
const send = (to, json) => answer(to, { tag: "data", val: { tag: "json", val: bytes(JSON.stringify(json)) } });
/** What is thrown is what the client gets: a 403. @type {(words: string) => import("volley:router/types@0.1.0").Refusal} */
const refused = (words) => ({ tag: "refused", val: words });

/** @param {Event} event */
function count(event) {
  return Number(members.count([bytes(event.topic)])[0]);
}

/** @param {Event} event */
function join(event) {
  if (event.user === undefined) throw refused("say who you are");
  hosts.insertNew([{ key: bytes(event.topic), value: bytes(event.user) }]);
  members.join(bytes(event.topic), sender(event));
  return send([everyone(event)], { joined: event.user, members: count(event) });
}

/** Of an exit the host has left all groups already. @param {Event} event */
function left(event) {
  members.leave(bytes(event.topic), sender(event));
  return send([everyone(event)], { left: event.user, members: count(event) });
}

/** @param {Event} event @param {string} name */
function mute(event, name) {
  const host = value(hosts, event.topic);
  if (host === undefined || text(host) !== event.user) throw refused("only the host may mute");
  mutes.insert([{ key: bytes(`${event.topic} ${name}`), value: bytes("") }]);
  return send([everyone(event)], { muted: name });
}

/** @param {Event} event */
function say(event) {
  const words = event.data.tag === "text" ? event.data.val : "";
  if (words.startsWith("/mute ")) return mute(event, words.slice("/mute ".length));
  // A back-end has no name, and nobody can mute it.
  if (event.user !== undefined && value(mutes, `${event.topic} ${event.user}`) !== undefined) {
    throw refused("you are muted");
  }
  return forward(everyoneBut(event));
}

/** @type {import("volley").Rule} */
export const handler = {
  info: () => ({ name: "room", version: "0.1.0", description: "a room whose host may mute" }),

  init(_config) {
    hosts = open("hosts");
    mutes = open("mutes", MUTE_MS);
    members = Scope.open("members", "node");
  },

  route(event) {
    switch (event.kind) {
      case "publish":
        return say(event);
      case "join":
        return join(event);
      case "leave":
      case "exit":
        return left(event);
      default:
        return { deliveries: [], remove: new BigUint64Array() };
    }
  },
};
