// Plugins: all of them, and one with its versions, its shadow and where it is mounted.

import { activate, forget, push, rollBack, startShadow, stopShadow } from "./actions.js";
import { look, segment } from "./api.js";
import { Spark } from "./charts.js";
import { differences } from "./differences.js";
import { Table, button, el, once, panel, say } from "./dom.js";
import { ago, bytes, count, micros, percent, rate, version } from "./format.js";
import { live } from "./live.js";
import { pluginsTable } from "./overview.js";

export function plugins() {
  const table = pluginsTable("There are no plugins yet: push a component.");
  const element = panel(
    "Plugins",
    el("p", {}, "A plugin routes the topics that routes name it for. Its versions are swapped while every client stays parked."),
    table.element,
    el("div", { class: "buttons" }, button("Push a component …", () => push(""), { class: "primary" })),
  );
  return { title: "Plugins", element, update: (now) => table.update(now.plugins, (row) => row.name) };
}

const FACTS = [
  ["Calls", (now) => `${rate(now.rates.calls)}/s`],
  ["Deliveries", (now) => `${rate(now.rates.recipients)}/s`],
  ["p50", (now) => micros(now.p50_us)],
  ["p99", (now) => micros(now.p99_us)],
  ["In flight", (now) => count(now.in_flight)],
  ["Refused", (now) => count(now.refusals)],
  ["Traps", (now) => count(now.traps)],
  ["Turned away", (now) => count(now.busy)],
  ["Memory", (now) => bytes(now.memory_bytes)],
  ["Generation", (now) => count(now.generation)],
];

// The last report of a shadow that has ended, by plugin: who activates its version wants to see it.
const lastReports = new Map();

export function plugin(name, signal) {
  let about = null;
  let stamp = "";
  const facts = FACTS.map(([title, show]) => ({ show, value: el("dd", {}, "–"), title: el("dt", {}, title) }));
  const spark = new Spark();
  const warning = el("p", { class: "banner warn", hidden: true });
  const again = async () => {
    try {
      about = await look(`plugins/${segment(name)}`, signal);
      draw();
    } catch (error) {
      if (!signal.aborted) say(missing, error.message);
    }
  };
  const missing = el("p", { class: "wrong", role: "alert" });
  // A row's actions are of what was looked at last; `if_current` tells the server what that was.
  const act = (what) => () => about && what({ name, about, report: shadow.report(), done: again });
  const versions = new Table(
    "Versions, the newest first",
    [
      { title: "Version", head: true, class: "mono", show: (row) => version(row.version) },
      { title: "State", draw: badge },
      { title: "Release", show: (row) => row.release },
      { title: "Description", wide: true, show: (row) => row.description },
      { title: "Size", kind: "number", wide: true, show: (row) => bytes(row.bytes) },
      { title: "From", wide: true, show: (row) => row.source },
      { title: "Pushed", wide: true, show: (row) => ago(row.pushed_ms) },
      { title: "Signed by", wide: true, show: (row) => row.signed_by ?? "–" },
      { title: "Migrates", wide: true, show: (row) => (row.migrates ? (row.downgrades ? "up and down" : "up") : "–") },
      { title: "Actions", draw: actions },
    ],
    "No version was pushed.",
  );
  function actions(cell, row) {
    const state = `${row.state} ${about.active}`;
    if (cell.dataset.state === state) return;
    cell.dataset.state = state;
    const short = version(row.version);
    const of = (text, what) => button(text, act((at) => what({ ...at, version: row })), { "aria-label": `${text.replace(" …", "")} ${short}` });
    const all = [];
    if (row.state !== "active") all.push(of("Activate …", activate));
    if (row.state === "pushed" || row.state === "previous") all.push(of("Shadow …", startShadow));
    if (row.state === "pushed") all.push(of("Forget …", forget));
    cell.replaceChildren(el("div", { class: "actions" }, all));
  }
  const mounts = new Table(
    "Where it is mounted",
    [
      { title: "Topics", head: true, class: "mono", show: (row) => row.topics.join(" ") },
      { title: "On trap", show: (row) => row.on_trap },
      { title: "Config", class: "mono", show: (row) => JSON.stringify(row.config) },
    ],
    "No route names it.",
  );
  const shadow = shadowPanel(name, signal, act);
  const back = button("Roll back …", act(rollBack));
  const element = el(
    "div",
    { class: "stack" },
    el(
      "section",
      { class: "panel", "aria-labelledby": "plugin-name" },
      el(
        "div",
        { class: "title" },
        el("h2", { id: "plugin-name" }, name),
        el(
          "div",
          { class: "actions" },
          back,
          button("Push a version …", () => push(name, again), { class: "primary" }),
          el("a", { href: `#/logs/${segment(name)}` }, "Its log"),
        ),
      ),
      missing,
      warning,
      el("dl", { class: "facts" }, facts.map(({ title, value }) => el("div", {}, title, value))),
      spark.element,
      el("p", { class: "below" }, "Calls a second, of the last two minutes. The times are of the last ten seconds."),
    ),
    shadow.element,
    panel("Versions", versions.element),
    panel("Mounts", mounts.element),
  );
  function draw() {
    versions.update(about.versions, (row) => row.version);
    mounts.update(about.mounts ?? [], (_, at) => at);
    back.disabled = !about.previous;
    const went = about.rolled_back;
    warning.hidden = !went;
    if (went) say(warning, `It went back from ${version(went.from)} to ${version(went.to)} by itself, ${ago(went.at_ms)}: ${went.why}`);
  }
  function update(now) {
    const one = now.plugins.find((plugin) => plugin.name === name);
    if (!one) return say(missing, `There is no plugin ${name}.`);
    say(missing, "");
    facts.forEach(({ show, value }) => say(value, show(one)));
    spark.draw(live.history[`calls of ${name}`] ?? []);
    shadow.update(one.shadow);
    const newest = [one.active, one.previous, one.versions, one.generation, one.shadow?.version, one.rolled_back_ms].join();
    if (newest !== stamp) {
      stamp = newest;
      again();
    }
  }
  return { title: name, element, update };
}

const badge = once(
  () => el("span", { class: "badge" }),
  (drawn, { state }) => {
    say(drawn, state);
    drawn.dataset.state = state;
  },
);

// What a shadow has found, as it finds it.
function shadowPanel(name, signal, act) {
  let newest = null;
  let looked = null;
  const words = el("p", { id: "shadow-words" });
  const times = el("p", { class: "below" });
  const differing = differences("The first events that it would have routed otherwise", "No difference so far.");
  const stop = button("Stop", act(stopShadow), { "aria-label": "Stop the shadow" });
  const use = button("Activate it …", act((at) => activate({ ...at, version: at.about.versions.find((one) => one.version === newest.version) })));
  const element = panel("Shadow", words, times, differing.element, el("div", { class: "buttons" }, stop, use));
  element.hidden = true;
  async function update(now) {
    const stays = lastReports.get(name);
    element.hidden = !now && !stays;
    stop.hidden = use.hidden = !now;
    if (!now) {
      if (stays && newest !== stays) draw((newest = stays), "has ended; it saw");
      return;
    }
    const key = `${now.version} ${now.compared} ${now.traps} ${now.dropped}`;
    if (key === looked) return;
    looked = key;
    try {
      newest = await look(`plugins/${segment(name)}/shadow`, signal);
      lastReports.set(name, newest);
      draw(newest, "sees");
    } catch {
      // It has ended meanwhile; the next picture says so.
    }
  }
  function draw(report, sees) {
    say(
      words,
      `${version(report.version)} ${sees} ${percent(report.sample)} of the events: ${count(report.compared)} compared, ` +
        `${count(report.same)} the same, ${count(report.different)} different, ${count(report.traps)} traps, ` +
        `${count(report.dropped)} left out while it was busy.`,
    );
    const of = (times) => `p50 ${micros(times.p50_us)}, p99 ${micros(times.p99_us)}`;
    say(times, `Live rule: ${of(report.live)}. Shadow: ${of(report.shadow)}. It sends nothing.`);
    differing.update(report.differences);
  }
  return { element, update, report: () => newest ?? lastReports.get(name) ?? null };
}
