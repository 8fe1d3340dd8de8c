// npm `eventsource`: node eventsource.cjs URL COUNT. Prints each message as `id data`, reconnects by itself, and ends after
// so many.
const { EventSource } = require("eventsource");
const [url, count] = process.argv.slice(2);
let left = Number(count);
const source = new EventSource(url);
source.onmessage = (event) => {
  console.log(event.lastEventId, event.data);
  if (--left === 0) source.close();
};
source.addEventListener("gap", (event) => console.log("gap", event.data));
source.addEventListener("superseded", () => source.close());
