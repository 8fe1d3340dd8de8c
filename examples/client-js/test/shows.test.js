// Where clients show tokens: bearers, tickets in URLs, renewal.
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { take, test, topic, until, wanted, WAYS } from "./harness.js";

const SERVER = wanted("VOLLEY_AUTH_URL");
const base64url = (text) => Buffer.from(text).toString("base64url");

function token(seconds, user = "ann") {
  const claims = { sub: user, exp: Math.floor(Date.now() / 1000) + seconds, volley: { join: [">"], publish: [">"] } };
  const signed = `${base64url(`{"alg":"HS256","kid":"js"}`)}.${base64url(JSON.stringify(claims))}`;
  const secret = Buffer.from(wanted("VOLLEY_AUTH_SECRET"), "base64url");
  return `${signed}.${createHmac("sha256", secret).update(signed).digest("base64url")}`;
}

for (const way of WAYS) {
  test(`with a token, by ${way}`, async ({ connect, way: open }) => {
    const [room, proxy] = [topic(), await open(SERVER)];
    const ann = await connect(proxy.url, { topics: [room], transport: way, token: token(600) });
    await until("a connection", () => ann.transport === way);
    await ann.publish(room, "hi");
    assert.deepEqual(await take(ann, 1), ["hi"]);
    proxy.cut();
    await ann.publish(room, "again");
    assert.deepEqual(await take(ann, 1), ["again"]);
    const bearers = proxy.seen.filter(({ headers }) => headers.authorization).map(({ line }) => line);
    assert.deepEqual(bearers, ["POST /v1/sessions"], "the bearer's token opens the session, and is not shown again");
    const session = proxy.seen.find(({ headers }) => headers["volley-session"]).headers["volley-session"];
    assert.ok(!proxy.seen.some(({ line }) => line.includes(session)), "a ticket stands in the URL, not the session");
  });
}

test("a token is renewed before it expires, and the session goes on", async ({ connect, way: open }) => {
  const [proxy, lives] = [await open(SERVER), [2, 600]];
  const ann = await connect(proxy.url, { token: async () => token(lives.shift()) });
  const { pid } = ann;
  await until("the new token", () => proxy.count("PUT /v1/sessions"));
  await ann.join(topic());
  assert.deepEqual([ann.pid, lives], [pid, []]);
});

test("no token, a bad one, and one that can't be had", async ({ connect }) => {
  await assert.rejects(connect(SERVER), { status: 401 });
  await assert.rejects(connect(SERVER, { token: "no token" }), { status: 401, name: "VolleyError" });
  await assert.rejects(connect(SERVER, { token: token(-60) }), { status: 401 });
  const fails = () => Promise.reject(new Error("signed out"));
  await assert.rejects(connect(SERVER, { token: fails }), { title: "No token could be had", detail: "Error: signed out" });
});
