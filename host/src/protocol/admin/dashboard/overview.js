// What is going on, at a glance.

import { Spark, Strip } from "./charts.js";
import { Table, el, once, panel, say } from "./dom.js";
import { bytes, count, micros, percent, rate, span, version } from "./format.js";
import { live } from "./live.js";

// Name, what is remembered of it, the number, and what is said below.
const TILES = [
  ["Events", "events", (now) => `${rate(now.rates.events)}/s`, (now) => `${count(now.totals.events)} in all`],
  ["Deliveries", "deliveries", (now) => `${rate(now.rates.deliveries)}/s`, (now) => `${count(now.totals.deliveries)} in all`],
  ["Sessions", "sessions", (now) => count(now.clients.sessions), (now) => `on ${count(now.clients.topics)} topics`],
  ["Parked", "waiting", (now) => count(waiting(now)), parked],
  ["Connections", "connections", (now) => count(now.clients.connections), (now) => `${rate(now.rates.accepted)}/s new`],
  ["Mailboxes", "mailboxes", (now) => bytes(now.mailboxes.bytes), (now) => `${count(now.totals.dropped)} dropped`],
  ["CPU", "cpu", (now) => (now.rates.cpu === null ? "–" : percent(now.rates.cpu)), () => "of one core"],
  ["Memory", "memory", (now) => bytes(now.process.memory_bytes), () => "resident"],
];

function waiting({ clients }) {
  return clients.polls + clients.event_streams + clients.websockets;
}

function parked({ clients }) {
  const polls = `${count(clients.polls)} ${clients.polls === 1 ? "poll" : "polls"}`;
  const streams = [[clients.event_streams, "SSE"], [clients.websockets, "WS"]].filter(([n]) => n > 0);
  return [polls, ...streams.map(([n, kind]) => `${count(n)} ${kind}`)].join(" · ");
}

function tile([name, remembered, value, below]) {
  const [number, words, spark] = [el("dd", { class: "value" }, "–"), el("dd", { class: "below" }), new Spark()];
  const element = el("div", { class: "tile" }, el("dt", {}, name), number, words, spark.element);
  const update = (now) => {
    say(number, value(now));
    say(words, below(now));
    spark.draw(live.history[remembered] ?? []);
  };
  return { element, update };
}

// A strip with a number before it.
export function strip(share, words, options) {
  return once(
    () => {
      const [number, strip] = [el("span"), new Strip()];
      const element = el("span", { class: "measure" }, number, strip.element);
      return Object.assign(element, { number, strip });
    },
    (drawn, row) => {
      say(drawn.number, words(row));
      drawn.strip.set(share(row), options);
    },
  );
}

const link = once(
  (row) => el("a", { href: `#/plugins/${encodeURIComponent(row.name)}` }, row.name),
  () => {},
);

export function pluginsTable(empty) {
  return new Table(
    "Plugins",
    [
      { title: "Plugin", head: true, draw: link },
      { title: "Release", show: (row) => (row.active ? row.release : "none active") },
      { title: "Version", class: "mono", wide: true, show: (row) => version(row.active) },
      { title: "Calls/s", kind: "number", show: (row) => rate(row.rates.calls) },
      { title: "Deliveries/s", kind: "number", wide: true, show: (row) => rate(row.rates.recipients) },
      { title: "p50", kind: "number", wide: true, show: (row) => micros(row.p50_us) },
      { title: "p99", kind: "number", show: (row) => micros(row.p99_us) },
      { title: "In flight", kind: "number", wide: true, show: (row) => count(row.in_flight) },
      { title: "Traps", kind: "number", draw: (cell, row) => alarming(cell, row.traps) },
      { title: "Memory", kind: "number", wide: true, show: (row) => bytes(row.memory_bytes) },
      { title: "Shadow", class: "tight", wide: true, draw: shadow },
    ],
    empty,
  );
}

function alarming(cell, n) {
  say(cell, count(n));
  cell.classList.toggle("bad", n > 0);
}

function shadow(cell, row) {
  const { shadow } = row;
  say(cell, shadow ? `${count(shadow.different)} of ${count(shadow.compared)} differ` : "–");
  cell.classList.toggle("warn", Boolean(shadow && shadow.different + shadow.traps > 0));
}

export function overview() {
  const tiles = TILES.map(tile);
  const plugins = pluginsTable("There are no plugins yet.");
  const lanes = new Table(
    "Lanes",
    [
      { title: "Lane", head: true, show: (row) => `${row.plugin} ${row.index}` },
      { title: "Busy", draw: strip((row) => row.busy, (row) => percent(row.busy)) },
      { title: "Queued", kind: "number", show: (row) => count(row.queued) },
      { title: "In hand", kind: "number", wide: true, show: (row) => count(row.in_hand) },
      { title: "Oldest", kind: "number", show: (row) => (row.queued ? micros(row.oldest_ms * 1000) : "–") },
    ],
    "No plugin has lanes yet.",
  );
  let busiest = 1;
  const topics = new Table(
    "Busiest topics",
    [
      { title: "Topic", head: true, class: "name", show: (row) => row.topic },
      { title: "Plugin", wide: true, show: (row) => row.plugin },
      { title: "Events/s", draw: strip((row) => row.events_per_s / busiest, (row) => rate(row.events_per_s), { quiet: true }) },
      { title: "Deliveries/s", kind: "number", show: (row) => rate(row.recipients_per_s) },
    ],
    "Nothing is being published.",
  );
  let sessions = 1;
  const depths = new Table(
    "Sessions by what they have not read",
    [
      { title: "Unread", head: true, show: (row) => row.words },
      { title: "Sessions", draw: strip((row) => row.sessions / sessions, (row) => count(row.sessions), { quiet: true }) },
    ],
    "There are no sessions.",
  );
  const deepest = el("p", { class: "below" });
  const limits = new Table(
    "Limits and what there is of what they bound",
    [
      { title: "Limit", head: true, class: "name", show: (row) => row.limit },
      { title: "Now", draw: strip((row) => row.now / Math.max(1, row.max), (row) => amount(row, row.now)) },
      { title: "At most", kind: "number", show: (row) => amount(row, row.max) },
    ],
    "",
  );
  const element = el(
    "div",
    { class: "overview" },
    el("h2", { class: "unseen" }, "Overview"),
    el("dl", { class: "tiles" }, tiles.map((tile) => tile.element)),
    el(
      "div",
      { class: "columns" },
      el("div", { class: "wide-column" }, panel("Plugins", plugins.element), panel("Busiest topics", topics.element)),
      el("div", {}, panel("Lanes", el("div", { class: "some" }, lanes.element)), panel("Mailboxes", depths.element, deepest), panel("Limits", limits.element)),
    ),
  );
  const update = (now) => {
    tiles.forEach((tile) => tile.update(now));
    plugins.update(now.plugins, (row) => row.name);
    const all = now.plugins.flatMap(({ name, lanes }) => lanes.map((lane, index) => ({ ...lane, plugin: name, index })));
    lanes.update(all, (row) => `${row.plugin} ${row.index}`);
    busiest = Math.max(1e-9, ...now.topics.map((topic) => topic.events_per_s));
    topics.update(now.topics.slice(0, 12), (row) => row.topic);
    sessions = Math.max(1, ...now.mailboxes.depths.map((depth) => depth.sessions));
    depths.update(now.mailboxes.depths.map(words), (row) => row.from);
    const { deepest: most, deepest_pid: whose, round_ms } = now.mailboxes;
    say(deepest, whose ? `The most is ${count(most)}, of ${whose}${round_ms > 2000 ? ` (as of ${span(round_ms)})` : ""}` : "Everybody has read everything.");
    limits.update([...now.uses].sort((a, b) => b.now / b.max - a.now / a.max).slice(0, 8), (row) => row.limit);
  };
  return { title: "Overview", element, update };
}

function words(depth, at, all) {
  const next = all[at + 1]?.from;
  if (next === undefined) return { ...depth, words: `${count(depth.from)} or more` };
  return { ...depth, words: next - depth.from === 1 ? count(depth.from) : `${count(depth.from)} – ${count(next - 1)}` };
}

function amount({ limit }, n) {
  return limit.includes("bytes") ? bytes(n) : count(n);
}
