// What is said: opening, joining, publishing, closing, and what is told when something is refused.
import assert from "node:assert/strict";
import { connect, Volley, VolleyError } from "../volley.js";
import { events, pathOf, SERVER, take, tell, test, topic, until } from "./harness.js";

test("joins, publishes, and iterates", async ({ connect }) => {
  const room = topic();
  const ann = await connect(SERVER, { topics: [room] });
  const bob = await connect(SERVER);
  await bob.join(room);
  assert.deepEqual(bob.topics, [room]);
  const published = await ann.publish(room, { say: "hi" });
  assert.equal(published.recipients, 2);
  for await (const message of bob) {
    assert.deepEqual(message, { cursor: 1, topic: room, from: ann.pid, event: published.event, data: { say: "hi" } });
    break; // The loop ends, the client does not: another loop goes on.
  }
  await ann.publish(room, "again");
  assert.deepEqual(await take(bob, 1), ["again"]);
  await bob.leave(room);
  assert.equal((await ann.publish(room, "alone")).recipients, 1);
});

test("what is published arrives as it was", async ({ connect }) => {
  const room = topic();
  const ann = await connect(SERVER, { topics: [room] });
  const said = ["text", "", "\u{1f3d0} <b>&amp;</b>\n", 0, 1.5, true, null, [], { a: [{ b: null }] }];
  for (const each of said) await ann.publish(room, each);
  assert.deepEqual(await take(ann, said.length), said);
  await ann.publish(room, new Uint8Array([0, 255, 7]));
  const { value } = await ann[Symbol.asyncIterator]().next();
  assert.deepEqual([value.data, value.encoding], ["AP8H", "base64"]);
  await assert.rejects(ann.publish(room, undefined), TypeError);
});

test("what is published at once arrives in order", async ({ connect }) => {
  const room = topic();
  const ann = await connect(SERVER, { topics: [room] });
  const said = Array.from({ length: 50 }, (_, index) => index);
  await Promise.all(said.map((each) => ann.publish(room, each)));
  assert.deepEqual(await take(ann, 50), said);
});

test("errors are told in the server's words", async ({ connect }) => {
  const room = topic("chat");
  const ann = await connect(SERVER, { user: "ann", topics: [room] });
  const bob = await connect(SERVER, { user: "bob", topics: [room] });
  const refusal = await bob.publish(room, { kick: "ann" }).catch((error) => error);
  assert.ok(refusal instanceof VolleyError);
  assert.deepEqual([refusal.status, refusal.title, refusal.detail], [403, "Forbidden", "only an op may do this"]);
  assert.equal(refusal.message, "Forbidden: only an op may do this");
  await ann.publish(room, { ban: "bob" });
  await assert.rejects(bob.join(room), { status: 403, detail: "you are banned from this room" });
  await assert.rejects(connect(SERVER, { user: "bob", topics: [room] }), { status: 403 });
  await assert.rejects(bob.join("no topic"), { status: 400 });
  await assert.rejects(connect("http://127.0.0.1:9"), { status: 0, name: "VolleyError" });
  assert.throws(() => bob.use("pigeon"), TypeError);
  assert.throws(() => new Volley(SERVER), TypeError);
});

test("a publish whose answer is lost is made again, once", async ({ connect, way }) => {
  const [room, lossy] = [topic(), await way()];
  const ann = await connect(lossy.url, { topics: [room] });
  for (const each of [1, 2]) {
    lossy.losing = each; // so many answers in a row
    await ann.publish(room, each);
  }
  await ann.publish(room, "end");
  assert.deepEqual(await take(ann, 3), [1, 2, "end"]);
  assert.equal(lossy.count(`POST /v1/topics/${room}/events`), 3 + 3);
});

test("what may have been published is not published again in a new session", async ({ connect, way }) => {
  const [room, lossy] = [topic(), await way()];
  const [ann, bob] = [await connect(lossy.url), await connect(SERVER, { topics: [room] })];
  lossy.losing = Infinity;
  const publishing = ann.publish(room, "once").catch((error) => error);
  await until("it to be published", () => lossy.lost > 0);
  await fetch(pathOf(ann.pid), { method: "DELETE" });
  lossy.losing = 0;
  assert.equal((await publishing).status, 410);
  await ann.publish(room, "and now"); // In a new session.
  assert.deepEqual(await take(bob, 2), ["once", "and now"]);
});

test("closing ends the session and the loop", async ({ connect }) => {
  const room = topic();
  const ann = await connect(SERVER, { topics: [room] });
  const states = events(ann, "state");
  await until("a connection", () => ann.transport);
  const loop = take(ann, 1).catch((error) => error.message);
  await ann.close();
  assert.equal(await loop, "the end after 0 messages");
  assert.deepEqual([ann.state, ann.transport, states.at(-1).state], ["closed", null, "closed"]);
  assert.equal((await fetch(pathOf(ann.pid))).status, 404);
  await assert.rejects(ann.publish(room, 1), { title: "The client is closed" });
  await ann.close();
});

test("a signal that aborts closes", async ({ connect: open }) => {
  const [room, controller] = [topic(), new AbortController()];
  const ann = await open(SERVER, { topics: [room], signal: controller.signal });
  await tell(room, [1]);
  let heard = 0;
  for await (const _ of ann) {
    heard += 1;
    controller.abort();
  }
  assert.deepEqual([heard, ann.state], [1, "closed"]);
  const reason = new Error("no more");
  await assert.rejects(connect(SERVER, { signal: AbortSignal.abort(reason) }), reason);
});
