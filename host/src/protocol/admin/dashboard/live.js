// The server live: pictures as they come, and the rates between two of them.

import { Failure, Unwilling, stream, tokens } from "./api.js";

const POINTS = 120;
const PAUSE_MS_MAX = 10_000;
// A page that nobody looks at lets go of its stream.
const HIDDEN_MS = 60_000;

export const live = new (class extends EventTarget {
  now = null;
  // Of the last pictures, by name.
  history = {};
  state = { kind: "waits", words: "connecting …" };
  #before = null;
  #failures = 0;

  async run() {
    for (;;) {
      let unwilling = false;
      const hidden = new AbortController();
      let timer = null;
      const onchange = () => {
        clearTimeout(timer);
        if (document.hidden) timer = setTimeout(() => hidden.abort(), HIDDEN_MS);
      };
      document.addEventListener("visibilitychange", onchange);
      try {
        await this.#read(hidden.signal);
        this.#says("waits", "the server is going down");
      } catch (error) {
        if (hidden.signal.aborted) this.#says("waits", "paused while hidden");
        else if (error instanceof Unwilling) unwilling = true;
        else if (error instanceof Failure && error.status) this.#says("lost", error.message);
        else this.#says("lost", "lost the server; trying again");
      }
      document.removeEventListener("visibilitychange", onchange);
      clearTimeout(timer);
      if (unwilling) {
        // Whoever does not want to say it now is not asked again and again.
        this.#says("lost", "needs the admin token");
        await new Promise((resolve) => tokens.addEventListener("came", resolve, { once: true }));
        continue;
      }
      await untilVisible();
      const pause = Math.min(500 * 2 ** this.#failures, PAUSE_MS_MAX);
      this.#failures += 1;
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
  }

  async #read(signal) {
    for await (const event of stream("live", "\n\n", signal)) {
      const lines = event.split("\n");
      if (lines.includes("event: end")) return;
      const data = lines.find((line) => line.startsWith("data: "));
      if (data) this.#take(JSON.parse(data.slice("data: ".length)));
    }
  }

  #take(picture) {
    this.#failures = 0;
    const before = this.#before && this.#before.up_ms < picture.up_ms ? this.#before : null;
    if (!before) this.history = {};
    const seconds = before ? (picture.up_ms - before.up_ms) / 1000 : 0;
    const grown = (now, then) => (before && then !== undefined && seconds > 0 ? Math.max(0, now - then) / seconds : null);
    picture.rates = {};
    for (const [name, now] of Object.entries(picture.totals)) picture.rates[name] = grown(now, before?.totals[name]);
    const computed = grown(picture.process.cpu_ms, before?.process.cpu_ms);
    picture.rates.cpu = computed === null ? null : computed / 1000;
    for (const plugin of picture.plugins) {
      const then = before?.plugins.find((other) => other.name === plugin.name);
      plugin.rates = {};
      for (const name of ["calls", "refusals", "traps", "busy", "recipients"]) {
        plugin.rates[name] = grown(plugin[name], then?.[name]);
      }
      this.#remember(`calls of ${plugin.name}`, plugin.rates.calls);
    }
    const { clients, rates } = picture;
    this.#remember("events", rates.events);
    this.#remember("deliveries", rates.deliveries);
    this.#remember("cpu", rates.cpu);
    this.#remember("memory", picture.process.memory_bytes);
    this.#remember("sessions", clients.sessions);
    this.#remember("waiting", clients.polls + clients.event_streams + clients.websockets);
    this.#remember("connections", clients.connections);
    this.#remember("mailboxes", picture.mailboxes.bytes);
    this.#before = this.now = picture;
    this.#says("live", "live");
    this.dispatchEvent(new Event("picture"));
  }

  #remember(name, value) {
    if (value === null || value === undefined) return;
    const values = (this.history[name] ??= []);
    values.push(value);
    if (values.length > POINTS) values.shift();
  }

  #says(kind, words) {
    if (this.state.kind === kind && this.state.words === words) return;
    this.state = { kind, words };
    this.dispatchEvent(new Event("state"));
  }
})();

function untilVisible() {
  if (!document.hidden) return Promise.resolve();
  return new Promise((resolve) => {
    const look = () => {
      if (document.hidden) return;
      document.removeEventListener("visibilitychange", look);
      resolve();
    };
    document.addEventListener("visibilitychange", look);
  });
}
