// The chat page: who we are, which rooms we are in, and what the controls do. `room.js` has what a room looks like, and
// `volley.js` the connection.

import { connect, VolleyError } from "../client-js/volley.js";
import { avatar, make, Room } from "./room.js";

const $ = (id) => document.getElementById(id);
const SERVER = document.querySelector("meta[name=volley-server]").content || new URL("/", location.href);
/** While somebody goes on writing, that is said again after so long; and taken back when nothing comes any more. */
const TYPING_EVERY_MS = 3_000;
const WAYS = { websocket: "WebSocket", events: "server-sent events", poll: "long polls" };
const COMMANDS = ["tell", "subject", "op", "mute", "unmute", "kick", "ban", "unban"];

let volley = null;
let me = "";
/** @type {Map<string, Room>} by topic */
const rooms = new Map();
let current = null;
/** To whom what is written goes, if not to all. */
let addressee = null;
let typing = { since: 0, stop: 0 };

// Coming in.

$("enter").addEventListener("submit", async (event) => {
  event.preventDefault();
  const room = roomName($("first-room").value);
  const problem = (words) => ($("entrance-problem").textContent = words);
  if (!room) return problem("A room's name has letters, digits, - and _.");
  problem("");
  const button = event.submitter ?? event.target.querySelector("button");
  button.disabled = true;
  try {
    await enter($("name").value.trim(), [room], $("token").value.trim() || undefined);
  } catch (error) {
    if (error.status === 401) $("token-field").hidden = false;
    const asks = error.status === 401 && !$("token").value;
    problem(asks ? "This server lets nobody in without a token." : error.detail || error.message);
    (error.status === 401 ? $("token") : $("name")).focus();
  } finally {
    button.disabled = false;
  }
});

async function enter(user, names, token) {
  volley = await connect(SERVER, { user, token, topics: names.map((name) => `chat.${name}`), transport: kept().way ?? "auto" });
  me = token ? (userOf(token) ?? volley.pid) : user;
  for (const name of names) add(name);
  keep({ user: token ? undefined : user });
  $("me").textContent = me;
  $("my-avatar").replaceWith(Object.assign(avatar(me), { id: "my-avatar" }));
  $("transport").value = kept().way ?? "auto";
  $("entrance").hidden = true;
  $("chat").hidden = false;
  show(rooms.get(`chat.${names[0]}`));
  $("text").focus();
  volley.addEventListener("state", showState);
  volley.addEventListener("transport", showState);
  volley.addEventListener("gap", ({ detail }) => {
    for (const room of rooms.values()) room.note(missing(detail.missing));
  });
  volley.addEventListener("refused", ({ detail: { topic, error } }) => {
    const room = rooms.get(topic);
    if (!room) return;
    room.isIn = false;
    room.note(`You are not let in again: ${error.detail}`);
    draw();
  });
  showState();
  void listen(volley);
}

/** Hears all there is, to the end. */
async function listen(client) {
  try {
    for await (const message of client) {
      const room = rooms.get(message.topic);
      if (!room) continue;
      room.pid = client.pid;
      room.hear(message);
    }
  } catch (error) {
    const words = error.status === 409 ? "This session was taken over elsewhere." : (error.detail || error.message);
    for (const room of rooms.values()) room.note(`${words} Reload the page to come back.`);
  }
  showState();
}

const missing = (count) =>
  count === null ? "The connection was away for long; something may be missing here" : `${count} messages are missing here`;

/** What the token says, which the server has checked. */
function userOf(token) {
  try {
    const bytes = Uint8Array.from(atob(token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
    return JSON.parse(new TextDecoder().decode(bytes)).sub;
  } catch {
    return undefined;
  }
}

// A tab that is loaded again comes back as who it was. What is kept is the tab's, so that two tabs can be two people.

function kept() {
  try {
    return JSON.parse(sessionStorage.getItem("volley-chat")) ?? {};
  } catch {
    return {};
  }
}

function keep(more) {
  const names = [...rooms.values()].filter((room) => room.isIn).map((room) => room.name);
  try {
    sessionStorage.setItem("volley-chat", JSON.stringify({ ...kept(), names, ...more }));
  } catch {
    // A browser that keeps nothing asks again.
  }
}

// Rooms.

/** What somebody typed as a room's name; empty if it can be none. */
function roomName(typed) {
  const name = typed.trim().replace(/^#/, "").replace(/\s+/g, "-");
  return /^[\w-]+(\.[\w-]+)*$/.test(name) ? name : "";
}

function add(name) {
  const room = new Room(name, me, draw);
  rooms.set(room.topic, room);
  $("logs").append(room.element);
  return room;
}

async function join(name) {
  const topic = `chat.${name}`;
  const known = rooms.get(topic);
  if (known?.isIn) return show(known);
  // Before the call: the welcome may be here before its answer.
  const room = known ?? add(name);
  try {
    await volley.join(topic);
    room.isIn = true;
    keep();
    show(room);
  } catch (error) {
    if (!known) remove(room);
    (known ?? current).note(`${name}: ${error.detail || error.message}`);
  }
}

async function leave(room) {
  remove(room);
  keep();
  await volley.leave(room.topic).catch(() => {});
  if (!rooms.size) await signOut();
}

function remove(room) {
  rooms.delete(room.topic);
  room.element.remove();
  if (room === current && rooms.size) show(rooms.values().next().value);
  draw();
}

function show(room) {
  if (room !== current) {
    address(null);
    typed(false);
  }
  current = room;
  for (const other of rooms.values()) other.element.hidden = other !== room;
  closePanels();
  history.replaceState(null, "", `#${room.name}`);
  room.toEnd();
  draw();
}

/** Draws all that is not a line of a log, once however much has changed. */
function draw() {
  draw.due ??= requestAnimationFrame(() => {
    draw.due = undefined;
    if (current) drawNow();
  });
}

function drawNow() {
  if (!document.hidden) current.unread = 0;
  $("room-name").textContent = current.name;
  $("subject").textContent = current.subject ?? "";
  sync($("rooms"), [...rooms.values()], (room) => room.name, (room, item) => {
    const label = `${room.name}${room.unread ? `, ${room.unread} unread` : ""}`;
    const button = item.firstChild ?? make("button", { type: "button", onclick: () => show(room) });
    button.ariaLabel = label;
    button.ariaCurrent = room === current ? "page" : null;
    const count = room.unread ? [make("span", { className: "count" }, String(Math.min(room.unread, 99)))] : [];
    button.replaceChildren(make("span", { className: "hash", ariaHidden: "true" }, "#"), make("span", { className: "label" }, room.name), ...count);
    return button;
  });
  const members = [...current.members].sort((a, b) => a.localeCompare(b));
  $("members-title").textContent = `Members (${members.length})`;
  sync($("members"), members, (name) => name, (name, item) => {
    if (item.firstChild) return item.firstChild;
    const label = make("span", { className: "label" }, name);
    if (name === me) return make("p", {}, avatar(name), label, make("span", { className: "hint" }, "you"));
    return make("button", { type: "button", onclick: () => openMember(name) }, avatar(name), label);
  });
  const writing = [...current.typing.keys()].map((name) => name ?? "the server");
  const verb = writing.length === 1 ? "is writing" : "are writing";
  $("typing").textContent = writing.length ? `${writing.slice(0, 3).join(", ")}${writing.length > 3 ? " and others" : ""} ${verb} …` : "";
  const unread = [...rooms.values()].reduce((sum, room) => sum + room.unread, 0);
  $("unread-elsewhere").hidden = unread === 0;
  document.title = `${unread ? `(${unread}) ` : ""}${current.name} · Volley chat`;
  $("text").disabled = !current.isIn;
  $("text").placeholder = current.isIn ? (addressee ? `Write to ${addressee}` : "Write a message") : "You are not in this room";
}

/** Brings a list up to date without touching items that stay: the focus stays where it is. */
function sync(list, values, keyOf, drawItem) {
  const old = new Map([...list.children].map((item) => [item.dataset.key, item]));
  const items = values.map((value) => {
    const item = old.get(keyOf(value)) ?? make("li");
    item.dataset.key = keyOf(value);
    const content = drawItem(value, item);
    if (content.parentNode !== item) item.append(content);
    return item;
  });
  for (const item of list.children) if (!items.includes(item)) item.remove();
  items.forEach((item, index) => list.children[index] !== item && list.insertBefore(item, list.children[index] ?? null));
}

$("join").addEventListener("submit", (event) => {
  event.preventDefault();
  const field = $("join-room");
  const name = roomName(field.value);
  field.setCustomValidity(name ? "" : "A room's name has letters, digits, - and _");
  if (!field.reportValidity()) return;
  field.value = "";
  void join(name);
});
$("join-room").addEventListener("input", () => $("join-room").setCustomValidity(""));

// What is written.

$("say").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = $("text").value.trim();
  if (!text || !current.isIn) return;
  $("text").value = "";
  fit();
  typed(false);
  const [, command, rest] = /^\/(\w+)\s*(.*)$/s.exec(text) ?? [];
  if (command) return obey(command, rest);
  say(current, text.startsWith("//") ? text.slice(1) : text, addressee);
});

/** Says it to all, or privately to one. */
async function say(room, text, to) {
  const line = room.pending(text);
  try {
    const { event } = await volley.publish(room.topic, to ? { tell: { user: to, text } } : { say: text });
    line.arrived();
    if (to) room.addressed(event, to);
  } catch (error) {
    line.failed(error.detail || error.message, () => say(room, text, to));
  }
}

/** `/tell bob psst`, `/subject tea`, `/kick bob`: what the buttons do, for those who like to type. */
function obey(command, rest) {
  const [, user, text] = /^(\S+)\s+(.*)$/s.exec(rest) ?? [];
  if (!COMMANDS.includes(command)) current.note(`There is no /${command}; there are ${COMMANDS.map((each) => `/${each}`).join(", ")}`);
  else if (command === "tell" && !user) current.note("/tell NAME TEXT");
  else if (command === "tell") say(current, text, user);
  else void act(command, rest);
}

const DONE = {
  op: (user) => `${user} is an op now`,
  mute: (user) => `${user} can't say anything now`,
  unmute: (user) => `${user} may speak again`,
  ban: (user) => `${user} may not come back`,
  unban: (user) => `${user} may come back`,
};

/** What ops do. The rule tells the others nothing of most of it, so we note it for ourselves. */
async function act(command, value) {
  const room = current;
  try {
    await volley.publish(room.topic, { [command]: value });
    if (DONE[command]) room.note(`${DONE[command](value)} (only you see this)`);
  } catch (error) {
    room.note(`${error instanceof VolleyError ? error.detail || error.title : error}`);
  }
}

$("text").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    $("say").requestSubmit();
  }
  if (event.key === "Escape") address(null);
});

$("text").addEventListener("input", () => {
  fit();
  // What goes to one is no matter of all.
  typed(!addressee && $("text").value.trim() !== "" && !$("text").value.startsWith("/"));
});

function fit() {
  const field = $("text");
  field.style.height = "auto";
  field.style.height = `${field.scrollHeight}px`;
}

function typed(isTyping) {
  clearTimeout(typing.stop);
  if (isTyping) typing.stop = setTimeout(() => typed(false), 2 * TYPING_EVERY_MS);
  const isKnown = isTyping ? Date.now() - typing.since < TYPING_EVERY_MS : !typing.since;
  if (isKnown) return;
  typing.since = isTyping ? Date.now() : 0;
  // Nobody misses it if it is lost.
  volley.publish(current.topic, { typing: isTyping }).catch(() => {});
}

function address(name) {
  addressee = name;
  $("privately").hidden = !name;
  $("privately").firstElementChild.textContent = name ? `Only ${name} will see this` : "";
  if (current) draw();
}

$("publicly").addEventListener("click", () => {
  address(null);
  $("text").focus();
});

// Dialogs: about a member, about the room.

function openMember(name) {
  $("member-name").textContent = name;
  closePanels();
  $("member").returnValue = "";
  $("member").showModal();
}

$("member").addEventListener("close", () => {
  const [dialog, name] = [$("member"), $("member-name").textContent];
  if (dialog.returnValue === "tell") {
    address(name);
    $("text").focus();
  } else if (dialog.returnValue) void act(dialog.returnValue, name);
});

$("open-room-settings").addEventListener("click", () => {
  $("room-settings-name").textContent = current.name;
  $("new-subject").value = current.subject ?? "";
  $("unban-name").value = "";
  $("room-settings").returnValue = "";
  $("room-settings").showModal();
});

// The first button of a form is what Enter presses; here that would be another field's.
$("unban-name").addEventListener("keydown", (event) => {
  if (event.key !== "Enter") return;
  event.preventDefault();
  $("room-settings").close("unban");
});

$("room-settings").addEventListener("close", () => {
  const chosen = $("room-settings").returnValue;
  const value = { subject: $("new-subject").value.trim(), unban: $("unban-name").value.trim() }[chosen];
  if (chosen === "leave") void leave(current);
  else if (value) void act(chosen, value);
});

for (const dialog of document.querySelectorAll("dialog")) {
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close(""));
}

// Panels, which lie over the room where there is no place beside it.

for (const [button, panel] of [["open-rooms", "rooms-panel"], ["open-members", "members-panel"]]) {
  $(button).addEventListener("click", () => {
    const isOpen = $(button).getAttribute("aria-expanded") === "true";
    closePanels();
    if (isOpen) return;
    $(button).setAttribute("aria-expanded", "true");
    $(panel).classList.add("open");
    $("shade").hidden = false;
    $(panel).querySelector("li button, .close-panel").focus();
  });
}

function closePanels() {
  for (const panel of document.querySelectorAll(".panel.open")) {
    const button = document.querySelector(`[aria-controls=${panel.id}]`);
    button.setAttribute("aria-expanded", "false");
    if (panel.contains(document.activeElement)) button.focus();
    panel.classList.remove("open");
  }
  $("shade").hidden = true;
}

for (const closer of [$("shade"), ...document.querySelectorAll(".close-panel")]) closer.addEventListener("click", closePanels);
document.addEventListener("keydown", (event) => event.key === "Escape" && closePanels());

// The connection.

$("transport").addEventListener("change", () => {
  volley.use($("transport").value);
  keep({ way: $("transport").value });
});

function showState() {
  const words = {
    connecting: "Connecting …",
    open: `Connected by ${WAYS[volley.transport] ?? "…"}`,
    reconnecting: "Connection lost, trying again …",
    closed: "Not connected",
  };
  $("state").textContent = words[volley.state];
  $("state").dataset.state = volley.state;
}

async function signOut() {
  await volley.close();
  sessionStorage.removeItem("volley-chat");
  location.assign(location.pathname);
}

$("sign-out").addEventListener("click", signOut);
document.addEventListener("visibilitychange", () => current && draw());
// The others shall know at once; and a page that is brought back from where it was kept begins anew.
addEventListener("pagehide", () => void volley?.close());
addEventListener("pageshow", (event) => event.persisted && location.reload());

const { user, names } = kept();
const linked = roomName(decodeURIComponent(location.hash.slice(1)));
if (linked) $("first-room").value = linked;
if (user) $("name").value = user;
if (user && names?.length) {
  enter(user, linked ? [...new Set([linked, ...names])] : names).catch((error) => {
    $("entrance-problem").textContent = error.detail || error.message;
  });
}
