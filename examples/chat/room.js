// One room as its member sees it: who is there, what was said, who is typing. It knows no connection.
//
// Whatever people write becomes text and nothing else: no string here is ever parsed as HTML.

const TYPING_MS = 6_000;
/** What was said longer ago is taken off the page. */
const LINES_MAX = 500;
/** Lines of one person within this time stand together. */
const TOGETHER_MS = 5 * 60_000;
const HUES = 8;
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });

/** An element with these properties and children; a child that is a string is text. */
export function make(name, properties = {}, ...children) {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...children);
  return element;
}

/** A round picture of somebody: an initial, in a colour that the name alone decides. */
export function avatar(name) {
  const picture = make("span", { className: "avatar", ariaHidden: "true" }, [...name][0]?.toUpperCase() ?? "?");
  picture.dataset.hue = String([...name].reduce((sum, letter) => (sum * 31 + letter.codePointAt(0)) % 9973, 7) % HUES);
  return picture;
}

export class Room {
  members = new Set();
  subject = null;
  unread = 0;
  /** Whether we are in it: whoever is removed sees what was said, and may come back. */
  isIn = true;
  typing = new Map();
  /** What was said, as `welcome` tells it. */
  #said = [];
  #last = { user: undefined, at: 0 };
  /** By event: to whom a private line went that has not come yet. */
  #addressees = new Map();
  #lines;
  #pending;

  /** @param {string} name @param {string} me @param {() => void} changed */
  constructor(name, me, changed) {
    this.name = name;
    this.me = me;
    this.changed = changed;
    this.#lines = make("div", { className: "lines", role: "log", ariaLabel: `Messages in ${name}` });
    this.#pending = make("div", { className: "lines" });
    this.element = make("div", { className: "log", tabIndex: 0, role: "region", ariaLabel: `Conversation in ${name}` });
    this.element.append(this.#lines, this.#pending);
  }

  get topic() {
    return `chat.${this.name}`;
  }

  /** What a rule has sent: see plugins/chat. */
  hear(message) {
    const [[what, said]] = Object.entries(message.data);
    const atEnd = this.isAtEnd;
    this.#hear(what, said, message);
    if (atEnd) this.toEnd();
    this.changed();
  }

  #hear(what, said, message) {
    switch (what) {
      case "welcome":
        return this.#welcome(said);
      case "joined":
        this.members.add(said);
        return this.note(`${said} has come in`);
      case "left":
        this.members.delete(said.user);
        this.typing.delete(said.user);
        if (said.user === this.me && said.reason === "kick") this.isIn = false;
        return this.note(`${said.user} ${{ kick: "was removed", timeout: "has lost the connection" }[said.reason] ?? "has left"}`);
      case "subject":
        this.subject = said;
        return this.note(`The subject is now: ${said}`);
      case "typing":
        return this.#isTyping(said.user, said.typing);
      case "said":
        this.typing.delete(said.user);
        this.#said.push(said);
        this.#forgetPending(said, message);
        return this.#line(said, message);
      case "told": {
        this.#forgetPending(said, message);
        const to = this.#addressees.get(message.event);
        this.#addressees.delete(message.event);
        return this.#line(said, message, to ? `privately to ${to}` : "privately");
      }
      default: // of a later version of the rule
    }
  }

  #welcome({ members, subject, backlog }) {
    this.members = new Set(members);
    this.typing.clear();
    this.subject = subject;
    this.isIn = true;
    const missed = unseen(this.#said, backlog);
    for (const said of missed) this.#line(said, null);
    if (missed.length && missed.length === backlog.length) this.note("What was said before you came is above");
    this.#said.push(...missed);
    if (members.length === 1) this.note("You are the first here, and so the room's op");
  }

  #isTyping(user, isTyping) {
    clearTimeout(this.typing.get(user));
    this.typing.delete(user);
    const forget = () => {
      this.typing.delete(user);
      this.changed();
    };
    if (isTyping) this.typing.set(user, setTimeout(forget, TYPING_MS));
  }

  /** One line; of what is from the backlog nobody knows when it was said. */
  #line({ user, text }, message, how) {
    const [isMine, now] = [user === this.me, Date.now()];
    const line = make("div", { className: "line" });
    line.classList.toggle("mine", isMine);
    if (message) line.dataset.event = message.event;
    const name = user ?? "the server";
    const isTogether = !how && this.#last.user === user && now - this.#last.at < TOGETHER_MS;
    this.#last = { user: how ? undefined : user, at: now };
    line.classList.toggle("together", isTogether);
    const head = make("p", { className: "head" }, make("span", { className: "who" }, isMine ? "You" : name));
    if (how) head.append(make("span", { className: "how" }, how));
    if (message) head.append(make("time", { dateTime: new Date(now).toISOString() }, clock.format(now)));
    if (isTogether) head.classList.add("unseen");
    line.classList.toggle("private", Boolean(how));
    line.append(avatar(name), make("div", { className: "bubble" }, head, make("p", { className: "text", dir: "auto" }, text)));
    this.#add(line);
    this.unread += !isMine && message ? 1 : 0;
  }

  /** What nobody said: somebody has come, something is missing. */
  note(words) {
    const atEnd = this.isAtEnd;
    this.#last = { user: undefined, at: 0 };
    this.#add(make("p", { className: "note" }, make("span", {}, words)));
    if (atEnd) this.toEnd();
  }

  #add(element) {
    this.#lines.append(element);
    while (this.#lines.childElementCount > LINES_MAX) this.#lines.firstElementChild.remove();
  }

  /** To whom a private line of ours went; the rule tells that to nobody. The line itself may come later. */
  addressed(event, user) {
    const how = this.#lines.querySelector(`[data-event="${CSS.escape(event)}"] .how`);
    if (how) how.textContent = `privately to ${user}`;
    else this.#addressees.set(event, user);
    while (this.#addressees.size > LINES_MAX) this.#addressees.delete(this.#addressees.keys().next().value);
  }

  /** Shows what is on its way. */
  pending(text) {
    const line = make("div", { className: "line mine pending together" });
    const words = make("p", { className: "head" }, "Sending …");
    line.append(make("div", { className: "bubble" }, words, make("p", { className: "text", dir: "auto" }, text)));
    this.#pending.append(line);
    this.toEnd();
    return {
      arrived: () => line.remove(),
      failed: (why, again) => {
        line.classList.add("failed");
        const button = make("button", { type: "button", className: "quiet" }, "Try again");
        button.addEventListener("click", () => (line.remove(), again()));
        words.replaceChildren(make("span", { role: "alert" }, `Not sent: ${why} `), button);
        this.toEnd();
      },
    };
  }

  #forgetPending({ user, text }, { from }) {
    if (user !== this.me || from !== this.pid) return;
    const line = [...this.#pending.children].find((each) => each.querySelector(".text").textContent === text);
    line?.remove();
  }

  get isAtEnd() {
    const { scrollHeight, scrollTop, clientHeight } = this.element;
    return scrollHeight - scrollTop - clientHeight < 40;
  }

  toEnd() {
    this.element.scrollTop = this.element.scrollHeight;
  }
}

/** What of a backlog is not among what was said: it begins with the end of that, if anything is known of it. */
function unseen(said, backlog) {
  const same = (a, b) => a.user === b.user && a.text === b.text;
  for (let known = Math.min(said.length, backlog.length); known > 0; known -= 1) {
    const end = said.slice(said.length - known);
    if (end.every((each, index) => same(each, backlog[index]))) return backlog.slice(known);
  }
  return backlog;
}
