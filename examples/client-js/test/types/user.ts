// Compiled, never run: that the types say what the client does, and no more.
import { connect, Volley, VolleyError, type Message, type Transport } from "./volley.js";

const volley: Volley = await connect("http://127.0.0.1:8080", {
  user: "ann",
  topics: ["chat.lobby"],
  token: async () => "a token",
  transport: ["websocket", "events", "poll"],
  signal: AbortSignal.timeout(1),
});
const { event, recipients }: { event: string; recipients: number } = await volley.publish("chat.lobby", { say: "hi" });
volley.use("poll");
volley.addEventListener("gap", ({ detail }) => void (detail.missing === null || detail.missing > 0));
volley.addEventListener("transport", ({ detail }) => void (detail.transport satisfies Transport));
for await (const message of volley) {
  const typed: Message<{ said: string }> = message;
  void [typed.data.said, message.cursor + 1, message.from?.length, event, recipients];
}
try {
  await volley.join("chat.lobby");
} catch (error) {
  if (error instanceof VolleyError && error.status === 403) void error.detail.length;
}

// @ts-expect-error: there is no such transport
volley.use("pigeon");
// @ts-expect-error: `connect` makes clients
new Volley();
// @ts-expect-error: messages are not to be changed
for await (const message of volley) message.cursor = 1;
