// Routes: which plugin routes which topics, the most specific first. They are changed with `volley routes`.

import { look } from "./api.js";
import { Table, button, el, once, panel, say } from "./dom.js";

export function routes(signal) {
  const wrong = el("p", { class: "wrong", role: "alert" });
  const table = new Table(
    "Routes, the most specific first",
    [
      { title: "Topics", head: true, class: "mono", show: (row) => row.topics },
      {
        title: "Plugin",
        draw: once(
          () => el("a"),
          (drawn, row) => {
            drawn.href = `#/plugins/${encodeURIComponent(row.plugin)}`;
            say(drawn, row.plugin);
          },
        ),
      },
      { title: "On trap", show: (row) => row.on_trap },
      { title: "Config", class: "mono", show: (row) => JSON.stringify(row.config) },
    ],
    "There are no routes: nothing can be published.",
  );
  const again = async () => {
    try {
      table.update(await look("routes", signal), (row) => row.topics);
      say(wrong, "");
    } catch (error) {
      if (!signal.aborted) say(wrong, error.message);
    }
  };
  again();
  const words = "An event goes to the plugin of the first pattern that its topic matches: * is one segment, a final > the rest. `volley routes add`, `rm` and `set` change them.";
  const element = panel("Routes", el("p", {}, words), wrong, table.element, el("div", { class: "buttons" }, button("Look again", again)));
  return { title: "Routes", element };
}
