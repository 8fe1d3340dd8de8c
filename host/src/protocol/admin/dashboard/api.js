// The admin API. Looking needs no token on loopback; what does is asked for it once, and it is kept for this tab alone.

import { button, el, field } from "./dom.js";

const KEPT = "volley-admin-token";
let asking = null;

// Says `came` when there is a token that was not there before.
export const tokens = new EventTarget();

// What the server answered that is no success, in its own words.
export class Failure extends Error {
  constructor(status, problem) {
    super(problem.detail ?? problem.title ?? `the server answered ${status}`);
    this.status = status;
    this.mismatches = problem.mismatches ?? [];
  }
}

// The operator would not say the token.
export class Unwilling extends Error {}

export function hasToken() {
  return sessionStorage.getItem(KEPT) !== null;
}

export function forgetToken() {
  sessionStorage.removeItem(KEPT);
  show();
}

function show() {
  document.getElementById("forget").hidden = !hasToken();
}
show();

// A response, whatever its status, but for one that asks for the token.
async function send(path, options) {
  let was = sessionStorage.getItem(KEPT);
  for (;;) {
    const headers = new Headers(options.headers);
    if (was !== null) headers.set("Authorization", `Bearer ${was}`);
    const response = await reach(`/admin/v1/${path}`, { ...options, headers, cache: "no-store" });
    if (response.status !== 401) return response;
    await response.body?.cancel();
    const now = sessionStorage.getItem(KEPT);
    // Somebody else may have asked for it meanwhile.
    if (now === null || now === was) await ask(was !== null);
    was = sessionStorage.getItem(KEPT);
  }
}

async function reach(url, options) {
  try {
    return await fetch(url, options);
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw new Failure(0, { detail: "The server can't be reached." });
  }
}

async function failure(response) {
  let problem = {};
  try {
    problem = await response.json();
  } catch {
    // Whatever stands between here and the server answers in its own way.
  }
  return new Failure(response.status, problem);
}

// A call that answers with JSON, or with nothing.
export async function call(method, path, { json, body, headers = {}, signal } = {}) {
  const typed = json === undefined ? headers : { ...headers, "Content-Type": "application/json" };
  const response = await send(path, { method, headers: typed, body: json === undefined ? body : JSON.stringify(json), signal });
  if (!response.ok) throw await failure(response);
  return response.status === 204 ? null : response.json();
}

export function look(path, signal) {
  return call("GET", path, { signal });
}

// The pieces of an answer that goes on, cut where `separator` stands.
export async function* stream(path, separator, signal) {
  const response = await send(path, { signal });
  if (!response.ok) throw await failure(response);
  const decoder = new TextDecoder();
  const reader = response.body.getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const pieces = (rest + decoder.decode(value, { stream: true })).split(separator);
    rest = pieces.pop();
    yield* pieces;
  }
}

// A segment of a path.
export function segment(text) {
  return encodeURIComponent(text);
}

// Asks for the token; one question at a time.
function ask(wasWrong) {
  asking ??= question(wasWrong).finally(() => (asking = null));
  return asking;
}

function question(wasWrong) {
  if (wasWrong) forgetToken();
  const token = el("input", { type: "password", autocomplete: "off", required: true, spellcheck: "false" });
  const wrong = el("p", { class: "wrong", role: "alert" }, wasWrong ? "That is not the token of this server." : "");
  return new Promise((resolve, reject) => {
    const cancel = () => dialog.close();
    const form = el(
      "form",
      {
        submit: (event) => {
          event.preventDefault();
          sessionStorage.setItem(KEPT, token.value.trim());
          show();
          tokens.dispatchEvent(new Event("came"));
          resolve();
          dialog.close();
        },
      },
      el("h2", { id: "token-title" }, "Admin token"),
      field("Token", token, "The server's first lines on stdout say in which file it is. It stays in this tab until you close it."),
      wrong,
      el("div", { class: "buttons" }, button("Cancel", cancel), el("button", { type: "submit", class: "primary" }, "Continue")),
    );
    const dialog = el("dialog", { "aria-labelledby": "token-title", class: "token" }, form);
    dialog.addEventListener("close", () => {
      dialog.remove();
      reject(new Unwilling("This needs the admin token."));
    });
    document.body.append(dialog);
    dialog.showModal();
    token.focus();
  });
}
