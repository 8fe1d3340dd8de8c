// Tables: what plugins keep, page by page.

import { look, segment } from "./api.js";
import { Table, button, el, field, once, panel, say } from "./dom.js";
import { bytes, count, visible } from "./format.js";

const PAGE = 50;
// Of a value so much is shown at first, and so much at most.
const [FIRST, MOST] = [600, 100_000];
// What is longer is written out line by line.
const LINE = 90;
const KINDS = { set: "set", orderedset: "ordered set", bag: "bag" };

export function tables(signal) {
  const wrong = el("p", { class: "wrong", role: "alert" });
  const table = new Table(
    "Tables",
    [
      {
        title: "Table",
        head: true,
        class: "mono",
        draw: once(
          (row) => el("a", { href: `#/tables/${segment(row.name)}` }, row.name),
          () => {},
        ),
      },
      { title: "Owner", show: (row) => row.owner },
      { title: "Kind", wide: true, show: (row) => KINDS[row.kind] ?? row.kind },
      { title: "Kept", wide: true, show: (row) => (row.durable ? "on disk" : "in memory") },
      { title: "Objects", kind: "number", show: (row) => count(row.size) },
      { title: "Size", kind: "number", show: (row) => bytes(row.bytes) },
    ],
    "No plugin has opened a table.",
  );
  const again = async () => {
    try {
      table.update((await look("tables", signal)).tables, (row) => row.name);
      say(wrong, "");
    } catch (error) {
      if (!signal.aborted) say(wrong, error.message);
    }
  };
  again();
  const element = panel("Tables", wrong, table.element, el("div", { class: "buttons" }, button("Look again", again)));
  return { title: "Tables", element };
}

export function table(name, signal) {
  const wrong = el("p", { class: "wrong", role: "alert" });
  const words = el("p", { class: "below" });
  const prefix = el("input", { type: "search", autocomplete: "off", spellcheck: "false" });
  const objects = new Table(
    "Objects, by their keys",
    [
      { title: "Key", head: true, class: "mono name", show: (row) => term(row.key) },
      { title: "Value", class: "most", draw: once((row) => value(row.value), () => {}) },
    ],
    "Nothing is there.",
  );
  const first = button("First page", () => read(null));
  const next = button("Next page", () => read(after));
  let after = null;
  let page = 0;
  async function read(from) {
    const query = new URLSearchParams({ limit: PAGE });
    if (prefix.value) query.set("prefix", prefix.value);
    // What the server gives to go on from is escaped already.
    const path = `tables/${segment(name)}?${query}${from ? `&after=${from}` : ""}`;
    try {
      const about = await look(path, signal);
      page = from ? page + 1 : 1;
      after = about.next;
      objects.update([], () => null);
      objects.update(about.objects, (row, at) => `${at}`);
      say(words, `Of ${about.owner}, ${KINDS[about.kind] ?? about.kind}${about.durable ? ", kept on disk" : ""}: ${count(about.size)} objects, ${bytes(about.bytes)}. Page ${page}.`);
      say(wrong, "");
      next.disabled = !after;
      first.disabled = page === 1;
    } catch (error) {
      if (!signal.aborted) say(wrong, error.message);
    }
  }
  const search = el(
    "form",
    {
      class: "search",
      role: "search",
      submit: (event) => {
        event.preventDefault();
        read(null);
      },
    },
    field("Keys that begin with", prefix),
    el("button", { type: "submit" }, "Search"),
  );
  read(null);
  const element = panel(`Table ${visible(name)}`, el("p", {}, el("a", { href: "#/tables" }, "All tables")), words, search, wrong, objects.element, el("div", { class: "buttons" }, first, next));
  return { title: name, element };
}

// Text, or what is none.
function term(of) {
  return typeof of === "string" ? visible(of) : `base64 ${of.base64}`;
}

function value(of) {
  let text = typeof of === "string" ? of : term(of);
  try {
    if (typeof of === "string") {
      const parsed = JSON.parse(of);
      text = JSON.stringify(parsed);
      if (text.length > LINE) text = JSON.stringify(parsed, null, 2);
    }
  } catch {
    text = visible(text);
  }
  const pre = el("pre", {}, text.length > FIRST ? `${text.slice(0, FIRST)} …` : text);
  if (text.length <= FIRST) return pre;
  const more = button(`Show ${count(Math.min(text.length, MOST))} of ${count(text.length)} characters`, () => {
    pre.textContent = text.slice(0, MOST);
    more.remove();
  });
  return el("div", {}, pre, more);
}
