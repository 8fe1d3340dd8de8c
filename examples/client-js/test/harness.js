// What the tests share: the server whose address they are given, topics that no other test has, messages counted.
import assert from "node:assert/strict";
import { test as nodeTest } from "node:test";
import { connect } from "../volley.js";
import { Way } from "./way.js";

export const SERVER = wanted("VOLLEY_URL");
export const ADMIN = wanted("VOLLEY_ADMIN");
export const WAYS = ["websocket", "events", "poll"];
const PATIENCE_MS = 60_000;

export function wanted(name) {
  const value = process.env[name];
  assert.ok(value, `${name} is missing: \`cargo test --workspace --test e2e -- javascript\` starts servers and runs these tests`);
  return value;
}

/** A test with things that end with it. */
export function test(name, body) {
  nodeTest(name, { timeout: PATIENCE_MS }, async (context) => {
    const opened = [];
    const close = async () => {
      // Clients first: they would look for a way that is gone.
      for (const each of opened.splice(0)) await each.close();
    };
    // A test that takes too long has failed, and what it has opened would keep Node from ending.
    context.signal.addEventListener("abort", () => void close());
    try {
      await body({
        connect: async (url, options) => (opened.push(await connect(url, options)), opened.at(-1)),
        way: async (url = SERVER) => (opened.push(await Way.to(url)), opened.at(-1)),
        context,
      });
    } finally {
      await close();
    }
  });
}

let topics = 0;
export const topic = (begin = "js") => `${begin}.${process.pid}-${(topics += 1)}`;

/** Publishes these as a back-end, in one call and in order. */
export async function tell(topic, data) {
  const lines = data.map((each) => JSON.stringify({ topic, data: each })).join("\n");
  const response = await fetch(`${SERVER}/v1/events`, { method: "POST", body: lines });
  assert.equal(response.status, 200);
  const answers = (await response.text()).trim().split("\n").map((line) => JSON.parse(line));
  assert.ok(answers.every((answer) => answer.event), JSON.stringify(answers));
  return answers;
}

/** The data of so many messages. */
export async function take(volley, count) {
  const data = [];
  while (data.length < count) {
    const { value, done } = await iterator(volley).next();
    assert.ok(!done, `the end after ${data.length} messages`);
    data.push(value.data);
  }
  return data;
}

const iterators = new WeakMap();
function iterator(volley) {
  if (!iterators.has(volley)) iterators.set(volley, volley[Symbol.asyncIterator]());
  return iterators.get(volley);
}

export async function until(what, look) {
  const started = Date.now();
  for (;;) {
    const found = await look();
    if (found) return found;
    assert.ok(Date.now() - started < PATIENCE_MS, `waited for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** The details of the events of a name so far. */
export function events(volley, name) {
  const details = [];
  volley.addEventListener(name, ({ detail }) => details.push(detail));
  return details;
}

export const numbers = (from, to) => Array.from({ length: to - from + 1 }, (_, index) => from + index);

export const pathOf = (pid) => `${ADMIN}/admin/v1/sessions/${encodeURIComponent(pid)}`;
