// The page: which section is shown, and what the head says of the server.

import { forgetToken, hasToken } from "./api.js";
import { note, say } from "./dom.js";
import { span } from "./format.js";
import { live } from "./live.js";
import { logs } from "./logs.js";
import { overview } from "./overview.js";
import { plugin, plugins } from "./plugins.js";
import { routes } from "./routes.js";
import { session, sessions } from "./sessions.js";
import { table, tables } from "./tables.js";

// A section is a function of what stands behind its name in the address. It gives {title, element, update(picture)} and is told
// by `signal` when it is left.
const sections = {
  overview: () => overview(),
  plugins: (name, signal) => (name ? plugin(name, signal) : plugins()),
  routes: (_, signal) => routes(signal),
  tables: (name, signal) => (name ? table(name, signal) : tables(signal)),
  sessions: (pid, signal) => (pid ? session(pid, signal) : sessions(signal)),
  logs: (name, signal) => logs(name, signal),
};

let shown = null;
let left = new AbortController();

function show() {
  if (location.hash && !location.hash.startsWith("#/")) return;
  const [name, ...rest] = location.hash.slice(2).split("/");
  const known = Object.hasOwn(sections, name) ? name : "overview";
  left.abort();
  left = new AbortController();
  let argument = "";
  try {
    argument = decodeURIComponent(rest.join("/"));
  } catch {
    // No address of ours.
  }
  const again = shown !== null;
  shown = sections[known](argument, left.signal);
  document.title = `${shown.title} – Volley`;
  for (const link of document.querySelectorAll("nav a")) {
    if (link.hash === `#/${known}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const main = document.getElementById("main");
  main.replaceChildren(shown.element);
  if (again) {
    main.focus({ preventScroll: true });
    scrollTo(0, 0);
  }
  if (live.now) shown.update?.(live.now);
}

live.addEventListener("picture", () => {
  const { now } = live;
  say(document.getElementById("server"), `${location.host} · ${now.release} · up ${span(now.up_ms)}`);
  shown?.update?.(now);
});

live.addEventListener("state", () => {
  const state = document.getElementById("state");
  state.dataset.kind = live.state.kind;
  say(state.lastElementChild, live.state.words);
});

document.getElementById("forget").addEventListener("click", () => {
  forgetToken();
  note(hasToken() ? "It is still there." : "The token is forgotten.");
});

addEventListener("hashchange", show);
say(document.getElementById("server"), location.host);
show();
live.run();
