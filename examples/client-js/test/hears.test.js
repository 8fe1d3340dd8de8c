// What is heard, in each way: nothing lost, nothing twice, in order, whatever becomes of connections.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { events, numbers, pathOf, SERVER, take, tell, test, topic, until, wanted, WAYS } from "./harness.js";

for (const way of WAYS) {
  test(`by ${way}`, async ({ connect, way: open }) => {
    const [room, proxy] = [topic(), await open()];
    const ann = await connect(proxy.url, { topics: [room], transport: way });
    await until("a connection", () => ann.transport === way);
    await tell(room, numbers(1, 20));
    assert.deepEqual(await take(ann, 20), numbers(1, 20));
    const odd = "line \u2028 and paragraph \u2029, id: 7\r\n\ndata: none, \ud83c\udfd0 \0";
    await ann.publish(room, odd);
    assert.deepEqual(await take(ann, 1), [odd]);
    const path = { websocket: "GET /v1/ws", events: "GET /v1/stream", poll: "GET /v1/poll" };
    for (const [name, line] of Object.entries(path)) assert.equal(proxy.count(line) > 0, name === way, line);
    // Where a header can be set no token stands in a URL.
    if (way !== "websocket") assert.ok(!proxy.seen.some(({ line }) => line.includes("session=")));
    // What was taken the server need not keep; a stream says so when it is opened again.
    if (way === "events") ann.use("events");
    const asking = take(ann, 1).catch(() => {});
    await until("it to be acknowledged", async () => (await (await fetch(pathOf(ann.pid))).json()).mailbox.acknowledged === 21);
    await ann.close();
    await asking;
  });

  test(`by ${way}, cut again and again`, async ({ connect, way: open }) => {
    const [room, proxy] = [topic(), await open()];
    const ann = await connect(proxy.url, { topics: [room], transport: way });
    const gaps = events(ann, "gap");
    const telling = (async () => {
      for (let n = 1; n <= 300; n += 10) {
        await tell(room, numbers(n, n + 9));
        if (Math.random() < 0.4) proxy.cut();
        if (Math.random() < 0.2) await until("a connection", () => ann.transport);
        await new Promise((resolve) => setTimeout(resolve, Math.random() * 20));
      }
    })();
    assert.deepEqual(await take(ann, 300), numbers(1, 300));
    await telling;
    await tell(room, ["end"]);
    assert.deepEqual([await take(ann, 1), gaps, ann.transport], [["end"], [], way]);
  });

  test(`by ${way}, taken slowly`, async ({ connect }) => {
    const room = topic();
    const ann = await connect(SERVER, { topics: [room], transport: way });
    const gaps = events(ann, "gap");
    await until("a connection", () => ann.transport);
    await tell(room, numbers(1, 1900));
    const taken = await take(ann, 1);
    await tell(room, ["end"]);
    taken.push(...(await take(ann, 1900)));
    assert.deepEqual([taken, gaps], [[...numbers(1, 1900), "end"], []]);
  });
}

test("what the mailbox had no room for is told where it is missing", async ({ connect }) => {
  const room = topic();
  const ann = await connect(SERVER, { topics: [room], transport: "poll" });
  const told = [];
  ann.addEventListener("gap", ({ detail }) => told.push(detail));
  await until("a connection", () => ann.transport);
  await tell(room, numbers(1, 2500)); // of which mailbox_messages_max are kept
  const taken = await take(ann, 1);
  assert.deepEqual([taken, told], [[501], [{ missing: 500 }]]);
  assert.deepEqual(await take(ann, 1999), numbers(502, 2500));
});

test("changing the way in the midst of it", async ({ connect }) => {
  const room = topic();
  const ann = await connect(SERVER, { topics: [room] });
  const ways = events(ann, "transport");
  const telling = (async () => {
    for (let n = 1; n <= 200; n += 1) {
      await tell(room, [n]);
      if (n % 10 === 0) {
        const next = WAYS[(n / 10) % 3];
        ann.use(next);
        if (n % 20 === 0) await until(next, () => ann.transport === next);
      }
    }
  })();
  assert.deepEqual(await take(ann, 200), numbers(1, 200));
  await telling;
  for (const way of WAYS) assert.ok(ways.some(({ transport }) => transport === way), way);
});

const NO_SOCKETS = [["GET /v1/ws", 403]];
const POLLS_ALONE = [...NO_SOCKETS, ["GET /v1/stream", 501]];
for (const [what, refused, held, way] of [
  ["all goes through", [], [], "websocket"],
  ["a proxy refuses WebSockets", NO_SOCKETS, [], "events"],
  ["a proxy refuses streams, too", POLLS_ALONE, [], "poll"],
  ["a proxy holds streams back", NO_SOCKETS, ["GET /v1/stream"], "poll"],
]) {
  test(`${what}: ${way}`, async ({ connect, way: open }) => {
    const [room, proxy] = [topic(), await open()];
    [proxy.refused, proxy.held] = [refused, held];
    const ann = await connect(proxy.url, { topics: [room], openMs: held.length ? 300 : 20_000 });
    const [ways, gaps] = [events(ann, "transport"), events(ann, "gap")];
    await tell(room, [1, 2]);
    assert.deepEqual(await take(ann, 2), [1, 2]);
    assert.equal(ann.transport, way);
    proxy.cut();
    await tell(room, [3]);
    assert.deepEqual(await take(ann, 1), [3]);
    assert.deepEqual([[...new Set(ways.map(({ transport }) => transport))], gaps], [[way], []]);
  });
}

test("over TLS, in whatever way it has", async ({ connect }) => {
  const room = topic();
  const ann = await connect(wanted("VOLLEY_TLS_URL"), { topics: [room] });
  await ann.publish(room, "hi");
  assert.deepEqual(await take(ann, 1), ["hi"]);
});

test("a runtime without WebSockets has events", async ({ connect }) => {
  const before = globalThis.WebSocket;
  globalThis.WebSocket = undefined;
  try {
    const ann = await connect(SERVER);
    await until("a connection", () => ann.transport);
    assert.equal(ann.transport, "events");
  } finally {
    globalThis.WebSocket = before;
  }
});

for (const way of WAYS) {
  test(`a session that is over is opened anew (${way})`, async ({ connect }) => {
    const [room, gone] = [topic("chat"), topic("chat")];
    const ann = await connect(SERVER, { user: "ann", topics: [room, gone], transport: way });
    const [gaps, refused] = [events(ann, "gap"), events(ann, "refused")];
    await until("a connection", () => ann.transport);
    assert.deepEqual((await take(ann, 2)).map(({ welcome }) => welcome.members), [["ann"], ["ann"]]);
    await tell(room, [{ say: "before" }]);
    await tell(gone, [{ ban: "ann" }]); // She may not come back into this one.
    await take(ann, 2);
    const { pid } = ann;
    assert.equal((await fetch(pathOf(pid), { method: "DELETE" })).status, 204);
    const [{ welcome }] = await take(ann, 1);
    assert.deepEqual(welcome.backlog, [{ user: null, text: "before" }]);
    assert.deepEqual([gaps, ann.topics], [[{ missing: null }], [room]]);
    assert.deepEqual(refused.map(({ topic, error }) => [topic, error.status]), [[gone, 403]]);
    assert.notEqual(ann.pid, pid);
    await ann.publish(room, { say: "and on" });
    assert.deepEqual(await take(ann, 1), [{ said: { user: "ann", text: "and on" } }]);
  });

  test(`what is said while a session is opened anew waits for it (${way})`, async ({ connect }) => {
    const room = topic("chat");
    const ann = await connect(SERVER, { user: "ann", topics: [room], transport: way });
    const [states, reading] = [events(ann, "state"), take(ann, Infinity).catch(() => {})];
    for (let n = 0; n < 5; n += 1) {
      await until("a connection", () => ann.state === "open");
      states.length = 0;
      await fetch(pathOf(ann.pid), { method: "DELETE" });
      await until("it to be noticed", () => states.some(({ state }) => state === "reconnecting"));
      await ann.publish(room, { say: "not before I am in" });
    }
    await ann.close();
    await reading;
  });

  test(`who is superseded does not fight (${way})`, async ({ connect, way: open }) => {
    const [room, proxy] = [topic(), await open()];
    const ann = await connect(proxy.url, { topics: [room], transport: way });
    await until("a connection", () => ann.transport);
    const loop = take(ann, 1).catch((error) => error);
    await until("it to be parked", async () => (await (await fetch(pathOf(ann.pid))).json()).parked);
    const session = proxy.seen.map(({ headers }) => headers["volley-session"]).find(Boolean) ??
      new URLSearchParams(proxy.seen.at(-1).line.split("?")[1]).get("session");
    const other = await fetch(`${SERVER}/v1/poll?wait=0`, { headers: { "Volley-Session": session } });
    assert.equal(other.status, 200);
    const [error, seen] = [await loop, proxy.seen.length];
    assert.deepEqual([error.status, error.title, ann.state], [409, "Superseded", "closed"]);
    await new Promise((resolve) => setTimeout(resolve, 700));
    assert.equal(proxy.seen.length, seen);
  });
}

test("a server that is away is waited for", async ({ connect, way: open }) => {
  const [room, proxy] = [topic(), await open()];
  const ann = await connect(proxy.url, { topics: [room] });
  const states = events(ann, "state");
  await until("a connection", () => ann.transport);
  await proxy.close();
  await until("it to be noticed", () => states.some(({ state }) => state === "reconnecting"));
  await tell(room, [1]);
  const publishing = ann.publish(room, 2);
  await proxy.open();
  await publishing;
  assert.deepEqual(await take(ann, 2), [1, 2]);
  assert.deepEqual([states.at(-1).state, ann.transport], ["open", "websocket"]);
});

/** A server that answers as told; when it was asked what. */
async function stub(answers) {
  const asked = [];
  const server = createServer((request, response) => {
    const path = request.url.split("?")[0];
    asked.push({ path, at: Date.now() });
    const [status, headers, body] = answers(path, asked.filter((other) => other.path === path).length);
    response.writeHead(status, headers).end(body && JSON.stringify(body));
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${server.address().port}/behind/a/prefix`;
  return { url, asked, close: () => (server.closeAllConnections(), server.close()) };
}

test("how long to stay away is the server's to say", async ({ connect }) => {
  const message = { topic: "t", from: null, event: "e", data: "at last" };
  const away = await stub((path, nth) => {
    if (path.endsWith("/v1/sessions")) return [201, {}, { session: "s", pid: "<0.1.1>", cursor: 0, linger_ms: 1, wait_ms: 1 }];
    if (path.endsWith("/v1/poll") && nth === 1) return [200, {}, { cursor: 0, messages: [], retry_ms: 400 }];
    if (path.endsWith("/v1/poll") && nth === 2) return [503, { "Retry-After": "1" }, null];
    return [200, {}, { cursor: 1, messages: [message] }];
  });
  try {
    const ann = await connect(away.url, { transport: "poll" });
    assert.deepEqual(await take(ann, 1), ["at last"]);
    const polls = away.asked.filter(({ path }) => path === "/behind/a/prefix/v1/poll").map(({ at }) => at);
    assert.ok(polls[1] - polls[0] >= 400 && polls[2] - polls[1] >= 1000, JSON.stringify(polls));
    await ann.close();
  } finally {
    away.close();
  }
});
