// npm `ws`: node ws.cjs URL COUNT TOPIC. Joins the topic, publishes COUNT numbers and a large text, acknowledges what comes,
// prints its data, and closes after all of it has come.
const WebSocket = require("ws");
const [url, count, topic] = process.argv.slice(2);
const socket = new WebSocket(url);
const say = (what) => socket.send(JSON.stringify(what));
let left = Number(count) + 1;
socket.on("open", () => say({ ref: "join", join: topic }));
socket.on("message", (text) => {
  const heard = JSON.parse(text);
  if (heard.ref === "join") {
    for (let n = 1; n < left; n++) say({ publish: { topic, data: n } });
    say({ ref: "last", publish: { topic, data: "x".repeat(300000) } });
  }
  for (const { data } of heard.messages ?? []) {
    console.log(typeof data === "string" ? data.length : data);
    left--;
  }
  if (heard.messages) say({ ack: heard.cursor });
  if (left === 0) socket.close(1000);
});
socket.on("close", (code) => console.log("closed", code));
