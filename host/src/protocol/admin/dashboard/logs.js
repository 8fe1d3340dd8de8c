// What a plugin's rules log, and their faults: the last lines, and those to come.

import { Failure, Unwilling, look, segment, stream } from "./api.js";
import { button, el, field, panel, say } from "./dom.js";
import { version, visible } from "./format.js";

const SHOWN = 500;
const LEVELS = ["error", "warning", "info", "debug"];

export function logs(name, signal) {
  const wrong = el("p", { class: "wrong", role: "alert" });
  const state = el("p", { class: "below", role: "status" });
  const lines = el("ol", { class: "log", tabindex: "0", role: "log", "aria-live": "off", "aria-label": "Lines" });
  const which = el("select", { change: () => (location.hash = `#/logs/${segment(which.value)}`) });
  const level = el("select", { change: filter }, LEVELS.map((name) => el("option", { value: name }, name === "error" ? "errors only" : `${name} and above`)));
  level.value = "debug";
  let follows = true;
  const hold = button("Hold", () => {
    follows = !follows;
    say(hold, follows ? "Hold" : "Go on");
    if (follows) lines.scrollTop = lines.scrollHeight;
  });
  function filter() {
    lines.dataset.level = level.value;
  }
  function add(line) {
    const time = new Date(line.time_ms).toISOString().slice(11, 23);
    const topic = line.topic ? el("span", { class: "topic" }, ` ${line.topic}`) : null;
    const words = el("span", { class: "words" }, ` ${visible(line.line)}`);
    lines.append(
      el("li", { "data-level": line.level },
        el("time", { datetime: new Date(line.time_ms).toISOString() }, time),
        el("b", {}, ` ${line.level}`),
        el("span", { class: "version" }, line.version ? ` ${version(line.version)}` : ""),
        topic, words),
    );
    while (lines.children.length > SHOWN) lines.firstElementChild.remove();
    if (follows) lines.scrollTop = lines.scrollHeight;
  }
  async function run() {
    try {
      const { plugins } = await look("plugins", signal);
      const names = plugins.map((plugin) => plugin.name);
      which.replaceChildren(...names.map((name) => el("option", { value: name }, name)));
      const plugin = name || names[0];
      if (!plugin) return say(wrong, "There are no plugins yet.");
      which.value = plugin;
      say(state, "Lines are shown as they come.");
      for await (const line of stream(`plugins/${segment(plugin)}/logs?lines=200&follow`, "\n", signal)) {
        if (line) add(JSON.parse(line));
      }
      say(state, "The log has ended; go to another section and come back to follow it again.");
    } catch (error) {
      if (signal.aborted) return;
      say(wrong, error instanceof Unwilling || error instanceof Failure ? error.message : "The connection has ended; come back to follow the log again.");
      say(state, "");
    }
  }
  filter();
  run();
  const controls = el("div", { class: "search" }, field("Plugin", which), field("Level", level), hold);
  return { title: "Logs", element: panel("Logs", controls, wrong, lines, state) };
}
