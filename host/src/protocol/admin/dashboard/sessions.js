// Sessions: page by page, and one with all that is known of it.

import { end } from "./actions.js";
import { look, segment } from "./api.js";
import { Table, button, el, field, note, once, panel, say } from "./dom.js";
import { bytes, count, visible } from "./format.js";

const PAGE = 50;
const WAITS = { poll: "poll", events: "SSE", websocket: "WebSocket" };

function waits(row) {
  return row.consumer ? WAITS[row.consumer] : "–";
}

export function sessions(signal) {
  const wrong = el("p", { class: "wrong", role: "alert" });
  const table = new Table(
    "Sessions",
    [
      {
        title: "PID",
        head: true,
        class: "mono",
        draw: once(
          (row) => el("a", { href: `#/sessions/${segment(row.pid)}` }, row.pid),
          () => {},
        ),
      },
      { title: "User", class: "name", show: (row) => (row.user === null ? "–" : visible(row.user)) },
      { title: "Topics", wide: true, class: "name", show: (row) => topics(row.topics) },
      { title: "Parked", show: waits },
      { title: "Unread", kind: "number", show: (row) => count(row.mailbox.unread) },
      { title: "Kept", kind: "number", wide: true, show: (row) => count(row.mailbox.messages) },
      { title: "Size", kind: "number", wide: true, show: (row) => bytes(row.mailbox.bytes) },
      { title: "Actions", draw: once((row) => kick(row, () => read(from)), () => {}) },
    ],
    "There are no sessions.",
  );
  const first = button("First page", () => read(null));
  const next = button("Next page", () => read(after));
  let from = null;
  let after = null;
  async function read(begin) {
    try {
      const page = await look(`sessions?limit=${PAGE}${begin ? `&after=${segment(begin)}` : ""}`, signal);
      [from, after] = [begin, page.next];
      table.update(page.sessions, (row) => row.pid);
      next.disabled = !after;
      first.disabled = !from;
      say(wrong, "");
    } catch (error) {
      if (!signal.aborted) say(wrong, error.message);
    }
  }
  const pid = el("input", { type: "text", placeholder: "0.17.1", autocomplete: "off", spellcheck: "false", required: true });
  const search = el(
    "form",
    {
      class: "search",
      submit: (event) => {
        event.preventDefault();
        location.hash = `#/sessions/${segment(`<${pid.value.trim().replace(/[<>]/g, "")}>`)}`;
      },
    },
    field("Go to a PID", pid),
    el("button", { type: "submit" }, "Show"),
  );
  read(null);
  const element = panel("Sessions", search, wrong, table.element, el("div", { class: "buttons" }, first, next, button("Look again", () => read(from))));
  return { title: "Sessions", element };
}

function topics(all) {
  return all.length > 3 ? `${all.slice(0, 3).join(", ")} and ${count(all.length - 3)} more` : all.join(", ") || "–";
}

function kick(row, done) {
  const who = row.user === null ? row.pid : `${visible(row.user)} ${row.pid}`;
  const words = "Its client is told that the session is over; what is in its mailbox is gone.";
  const ended = () => {
    note(`${row.pid} has ended.`);
    done();
  };
  return button("Kick …", () => end(`End the session of ${who}?`, words, `sessions/${segment(row.pid)}`, ended), { "aria-label": `Kick ${who}` });
}

export function session(pid, signal) {
  const wrong = el("p", { class: "wrong", role: "alert" });
  const facts = el("dl", { class: "facts" });
  const list = el("ul", { class: "topics" });
  const buttons = el("div", { class: "buttons" });
  async function read() {
    try {
      const one = await look(`sessions/${segment(pid)}`, signal);
      const all = [
        ["User", one.user === null ? "–" : visible(one.user)],
        ["Parked", waits(one)],
        ["Unread", count(one.mailbox.unread)],
        ["Kept", count(one.mailbox.messages)],
        ["Size", bytes(one.mailbox.bytes)],
        ["Newest", count(one.mailbox.newest)],
        ["Acknowledged", count(one.mailbox.acknowledged)],
      ];
      facts.replaceChildren(...all.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))));
      list.replaceChildren(...one.topics.map((topic) => el("li", { class: "mono" }, topic)));
      buttons.replaceChildren(button("Look again", read), kick(one, () => (location.hash = "#/sessions")));
      say(wrong, "");
    } catch (error) {
      if (signal.aborted) return;
      say(wrong, error.status === 404 ? "There is no such session: it has ended, or never was." : error.message);
    }
  }
  read();
  const element = panel(`Session ${visible(pid)}`, el("p", {}, el("a", { href: "#/sessions" }, "All sessions")), wrong, facts, el("h3", {}, "Topics"), list, buttons);
  return { title: pid, element };
}
