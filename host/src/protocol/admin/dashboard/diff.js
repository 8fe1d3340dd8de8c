// What is different between two versions of a plugin, two configs, and what a shadow has found.

import { differences } from "./differences.js";
import { el } from "./dom.js";
import { ago, bytes, count, micros, percent, version } from "./format.js";

function fact(name, from, to) {
  // That one came later says nothing about what it does.
  const changes = from !== to && name !== "Pushed";
  return el(
    "tr",
    { class: changes ? "changes" : null },
    el("th", { scope: "row" }, name),
    el("td", {}, from),
    el("td", {}, to, changes ? el("span", { class: "unseen" }, " (changes)") : null),
  );
}

function migration(of) {
  if (!of.migrates) return "nothing";
  return of.downgrades ? "its tables, and back" : "its tables, with no way back";
}

// From one version to another: what they say of themselves, and which functions they import and export.
export function diff(from, to) {
  const rows = [
    ["Version", version(from?.version), version(to.version)],
    ["Release", from?.release ?? "–", to.release],
    ["Description", from?.description ?? "–", to.description],
    ["Size", bytes(from?.bytes), `${bytes(to.bytes)}${from ? grown(to.bytes - from.bytes) : ""}`],
    ["Pushed", ago(from?.pushed_ms), ago(to.pushed_ms)],
    ["Signed by", from?.signed_by ?? "–", to.signed_by ?? "–"],
    ["Migrates", from ? migration(from) : "–", migration(to)],
  ];
  const table = el(
    "table",
    { class: "diff" },
    el("caption", {}, "What changes"),
    el("thead", {}, el("tr", {}, ["", "From", "To"].map((title) => el("th", { scope: "col" }, title)))),
    el("tbody", {}, rows.map((row) => fact(...row))),
  );
  return [table, functions("Imports", from?.imports, to.imports), functions("Exports", from?.exports, to.exports)];
}

function grown(more) {
  return more === 0 ? "" : ` (${more > 0 ? "+" : "−"}${bytes(Math.abs(more))})`;
}

function functions(title, from, to) {
  if (!to) return null;
  const [before, after] = [new Set(from ?? []), new Set(to)];
  const lines = [
    ...[...before].filter((name) => !after.has(name)).map((name) => ["−", "gone", name]),
    ...[...after].filter((name) => !before.has(name)).map((name) => ["+", "new", name]),
  ];
  const words = lines.length ? `${title}: ${lines.length} of ${after.size} differ` : `${title}: the same ${after.size}`;
  return lines.length ? el("div", {}, el("p", { class: "part" }, words), patch(lines)) : el("p", { class: "part" }, words);
}

// Lines that are new or gone.
function patch(lines) {
  const line = ([sign, kind, text]) => el("li", { class: kind }, el("span", { class: "sign" }, sign), el("span", { class: "unseen" }, kind), ` ${text}`);
  return el("ul", { class: "patch" }, lines.map(line));
}

// Configs line by line. They are short, so that a plain comparison by lines does.
export function configDiff(from, to) {
  const [before, after] = [from, to].map((value) => JSON.stringify(value, null, 2).split("\n"));
  const lines = [
    ...before.filter((line) => !after.includes(line)).map((line) => ["−", "gone", line]),
    ...after.filter((line) => !before.includes(line)).map((line) => ["+", "new", line]),
  ];
  return lines.length ? patch(lines) : el("p", { class: "part" }, "The same config.");
}

export function shadowWords(report, id) {
  if (!report || report.version !== id) return el("p", { class: "part" }, "No shadow of this version has run here.");
  const { compared, different, traps } = report;
  const differing = differences("How its recipients differ", "Everybody would have received the same.");
  differing.update(report.differences);
  const words =
    `As a shadow it saw ${percent(report.sample)} of the events: ${count(compared)} compared, ${count(different)} different, ` +
    `${count(traps)} traps; p99 ${micros(report.shadow.p99_us)}, live ${micros(report.live.p99_us)}.`;
  return el("div", {}, el("p", { class: different + traps > 0 ? "part warn" : "part" }, words), differing.element);
}
