// What an operator changes: each action says first what it would do, and names what the operator has seen (`if_current`), so that
// two operators do not undo each other's work unknowingly.

import { Unwilling, call, look, segment } from "./api.js";
import { configDiff, diff, shadowWords } from "./diff.js";
import { button, el, field, note } from "./dom.js";
import { bytes, count, version } from "./format.js";

// What `run` returns when there is a further step.
const GOES_ON = Symbol("goes on");

// A dialog with one thing to do. `run` does it and may return what is to be noted; what it throws is told in the dialog.
function ask({ title, content, does, danger = false, run }) {
  const wrong = el("div", { role: "alert", class: "wrong" });
  const submit = el("button", { type: "submit", class: danger ? "danger" : "primary" }, does);
  const cancel = button("Cancel", () => dialog.close());
  const form = el(
    "form",
    {
      submit: async (event) => {
        event.preventDefault();
        submit.disabled = true;
        wrong.replaceChildren();
        form.setAttribute("aria-busy", "true");
        try {
          const words = await run();
          if (words !== GOES_ON) {
            if (words) note(words);
            dialog.close();
          }
        } catch (error) {
          wrong.replaceChildren(...told(error));
        }
        form.removeAttribute("aria-busy");
        submit.disabled = false;
      },
    },
    el("h2", { id: "dialog-title", tabindex: "-1", autofocus: true }, title),
    el("div", { class: "content" }, ...[content].flat().filter(Boolean)),
    wrong,
    el("div", { class: "buttons" }, cancel, submit),
  );
  const dialog = el("dialog", { "aria-labelledby": "dialog-title" }, form);
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  return { submit };
}

// Why something did not happen, in the server's words.
function told(error) {
  if (error instanceof Unwilling) return [el("p", {}, error.message)];
  const mismatches = error.mismatches ?? [];
  const lead = {
    409: "Nothing was changed. ",
    412: "Nothing was changed. ",
    422: "It was refused, and what runs goes on: ",
    503: "It could not be done now. ",
  }[error.status];
  if (mismatches.length > 1) {
    const all = el("ul", {}, mismatches.map((words) => el("li", {}, words)));
    return [el("p", {}, `It was refused for ${mismatches.length} reasons, and what runs goes on:`), all];
  }
  return [el("p", {}, `${lead ?? ""}${error.message}`)];
}

// Both versions with all that is known of them.
async function both(name, about, to) {
  const of = (id) => (id ? look(`plugins/${segment(name)}/versions/${segment(id)}`) : null);
  return Promise.all([of(about.active), of(to)]);
}

function failed(error) {
  if (!(error instanceof Unwilling)) note(error.message, "bad");
}

export async function activate({ name, about, version: wanted, report, done }) {
  let from, to;
  try {
    [from, to] = await both(name, about, wanted.version);
  } catch (error) {
    return failed(error);
  }
  const configs = (about.mounts ?? []).map(({ topics, config }) =>
    el("li", {}, el("code", {}, topics.join(" ")), " has ", el("code", {}, JSON.stringify(config))));
  const changed = el("div", {});
  const config = el("textarea", { rows: "3", spellcheck: "false", class: "mono", input: show });
  let given;
  function show() {
    config.setCustomValidity("");
    given = undefined;
    changed.replaceChildren();
    if (!config.value.trim()) return;
    try {
      given = JSON.parse(config.value);
    } catch {
      return config.setCustomValidity("This is no JSON.");
    }
    changed.replaceChildren(...(about.mounts ?? []).map((mount) => configDiff(mount.config, given)));
  }
  const seen = report?.version === wanted.version ? report.compared : 0;
  const clean = el("input", { id: "clean-shadow", type: "checkbox", disabled: !about.versions.some((one) => one.version === wanted.version && one.state === "shadow") });
  const content = [
    ...diff(from, to),
    el("h3", {}, "Shadow"),
    shadowWords(report, wanted.version),
    el("div", { class: "field check" }, clean, el("label", { for: "clean-shadow" }, `Only if none of the last ${count(Math.max(1, seen))} events that its shadow saw differs`)),
    el("h3", {}, "Config"),
    configs.length ? el("ul", { class: "part" }, configs) : el("p", { class: "part" }, "No route names this plugin."),
    field("New config of all its routes", config, "JSON; left empty, each route keeps the one it has."),
    changed,
  ];
  ask({
    title: `Let ${version(wanted.version)} route for ${name}?`,
    content,
    does: "Activate",
    run: async () => {
      const json = { version: wanted.version };
      if (about.active) json.if_current = about.active;
      if (given !== undefined) json.config = given;
      if (clean.checked) json.require_shadow = { events: Math.max(1, seen), max_different: 0 };
      const swapped = await call("POST", `plugins/${segment(name)}/activate`, { json });
      done();
      return routedBy(name, swapped);
    },
  });
}

function routedBy(name, { current, previous, notes = [] }) {
  const before = previous ? ` (before: ${version(previous)})` : "";
  return [`${name} is routed by ${version(current)}${before}.`, ...notes].join(" ");
}

export async function rollBack({ name, about, done }) {
  let from, to;
  try {
    [from, to] = await both(name, about, about.previous);
  } catch (error) {
    return failed(error);
  }
  ask({
    title: `Let ${version(about.previous)} route for ${name} again?`,
    content: [el("p", {}, "The version before is still warm: going back compiles nothing."), ...diff(from, to)],
    does: "Roll back",
    run: async () => {
      const swapped = await call("POST", `plugins/${segment(name)}/rollback`, { json: { if_current: about.active } });
      done();
      return routedBy(name, swapped);
    },
  });
}

export function startShadow({ name, version: wanted, done }) {
  const sample = el("input", { type: "number", min: "0.1", max: "100", step: "any", value: "10", required: true, inputmode: "decimal" });
  ask({
    title: `Try ${version(wanted.version)} as a shadow of ${name}?`,
    content: [
      el("p", {}, "It is asked what the live version is asked. It sends nothing, and what it writes only it sees. Its recipients are compared."),
      field("Percent of the events", sample),
    ],
    does: "Start",
    run: async () => {
      const json = { version: wanted.version, sample: Number(sample.value) / 100 };
      await call("POST", `plugins/${segment(name)}/shadow`, { json });
      done();
      return `${version(wanted.version)} looks on.`;
    },
  });
}

export async function stopShadow({ name, done }) {
  try {
    await call("DELETE", `plugins/${segment(name)}/shadow`);
    note("The shadow has ended.");
    done();
  } catch (error) {
    failed(error);
  }
}

export function forget({ name, version: wanted, done }) {
  ask({
    title: `Forget ${version(wanted.version)} of ${name}?`,
    content: el("p", {}, "It is not in use. To use it later, it has to be pushed again."),
    does: "Forget",
    danger: true,
    run: async () => {
      await call("DELETE", `plugins/${segment(name)}/versions/${segment(wanted.version)}`);
      done();
      return `${version(wanted.version)} is forgotten.`;
    },
  });
}

// Pushes a component: it is checked and tried first, with nothing changed.
export function push(plugin, done = () => {}) {
  const name = el("input", { type: "text", required: true, value: plugin, autocomplete: "off", spellcheck: "false", input: unchecked });
  const file = el("input", { type: "file", accept: ".wasm,application/wasm", required: true, change: unchecked });
  const signature = el("input", { type: "file", accept: ".sig", change: unchecked });
  const found = el("p", { class: "part", role: "status" });
  let fits = null;
  function unchecked() {
    fits = null;
    found.replaceChildren();
    opened.submit.textContent = "Check";
  }
  const send = async (query) => {
    const signed = signature.files[0] ? { "Volley-Signature": (await signature.files[0].text()).trim() } : {};
    const headers = { "Content-Type": "application/wasm", ...signed };
    const path = `plugins/${segment(name.value.trim())}/versions${query}`;
    return call("POST", path, { body: file.files[0], headers });
  };
  const opened = ask({
    title: plugin ? `Push a version of ${plugin}` : "Push a component",
    content: [
      plugin ? null : field("Plugin", name, "A new name makes a new plugin."),
      field("Component", file, "A .wasm file, as `volley plugin build` makes it."),
      field("Signature, if the server asks for one", signature, "The .sig file beside it."),
      found,
    ],
    does: "Check",
    run: async () => {
      if (fits === null) {
        fits = (await send("?dry_run")).version;
        found.replaceChildren(`It fits: ${version(fits)}, ${bytes(file.files[0].size)}. Nothing was changed yet.`);
        opened.submit.textContent = "Push";
        return GOES_ON;
      }
      const pushed = await send("");
      done();
      return `${version(pushed.version)} is on the server, and does not route yet.`;
    },
  });
}

// What is ended for good.
export function end(title, words, path, done) {
  ask({
    title,
    content: el("p", {}, words),
    does: "End it",
    danger: true,
    run: async () => {
      await call("DELETE", path);
      done();
    },
  });
}
