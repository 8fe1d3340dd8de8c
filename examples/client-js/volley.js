// A client of Volley servers for browsers and Node 20 and later, without dependencies.
//
// What it says (open, join, publish) goes by HTTP, where it can be repeated safely. What it hears comes by the best way that
// works: a WebSocket, server-sent events, or long polls. All three read the same mailbox on the server, and each message has
// a number there, so nothing is lost and nothing comes twice when a connection breaks or the way changes.
//
// The types are in volley.d.ts; README.md has the ten lines to begin with.

/** @typedef {import("./volley.d.ts").Message} Message */
/** @typedef {import("./volley.d.ts").Options} Options */
/** @typedef {import("./volley.d.ts").Transport} Transport */
/** @typedef {{ cursor: number, messages: Omit<Message, "cursor">[], gap?: number, superseded?: boolean, retry_ms?: number }} Page */
/** @typedef {{ session: string, pid: string, linger_ms: number, wait_ms: number }} Opened */
/** @typedef {{ message?: Message, missing?: number | null, of: string }} Item */
/** @typedef {{ session: string, signal: AbortSignal, isOpen: boolean, open: () => void }} Attempt */

/** @type {readonly Transport[]} */
const EVERY_WAY = ["websocket", "events", "poll"];
/** A call that is not answered by then has failed, and is made again. */
const CALL_MS = 20_000;
/** So long a call is made again and again. Within it the server knows an Idempotency-Key; it keeps one for five minutes. */
const RETRY_FOR_MS = 60_000;
/** The pause before a further try: doubled each time up to the longest, and half of it by chance. */
const PAUSE_MS = 500;
const PAUSE_MS_MAX = 30_000;
/** A poll that is not answered so long after its wait is over will not be. */
const POLL_GRACE_MS = 15_000;
/** The server sends a sign of life every 20 s; a stream that is silent for so long is dead. */
const SILENCE_MS = 65_000;
/** A WebSocket that has said nothing for so long is asked whether it is there. */
const QUIET_MS = 25_000;
/** A WebSocket can't be told to wait, so one that has brought so many messages that nobody has taken yet is closed; it is
 * opened again when they are taken, and the server keeps the rest. */
const AHEAD_MAX = 1_000;
/** What was taken is acknowledged over a WebSocket after so long, all at once. */
const ACK_MS = 1_000;
/** A token is renewed so long before it expires, or sooner if it lives shortly. */
const RENEW_MS = 60_000;
const RENEW_MS_MIN = 1_000;
const TIMER_MS_MAX = 2 ** 31 - 1;
const EVENTS = "text/event-stream";

/** Why a call failed, in the server's words (RFC 9457). A server that can't be reached has the status 0. */
export class VolleyError extends Error {
  /** @param {{ status: number, title: string, detail?: string, retryMs?: number, cause?: unknown }} problem */
  constructor({ status, title, detail = "", retryMs, cause }) {
    super(detail ? `${title}: ${detail}` : title, cause === undefined ? undefined : { cause });
    this.name = "VolleyError";
    this.status = status;
    this.title = title;
    this.detail = detail;
    /** What Retry-After says. */
    this.retryMs = retryMs;
  }

  /** @param {Response} response */
  static async from(response) {
    const isProblem = response.headers.get("content-type")?.startsWith("application/problem+json");
    const problem = isProblem ? await response.json().catch(() => null) : null;
    const seconds = Number(response.headers.get("retry-after") ?? NaN);
    const retryMs = Number.isFinite(seconds) ? seconds * 1000 : undefined;
    const title = String(problem?.title ?? (response.statusText || `HTTP status ${response.status}`));
    const error = new VolleyError({ status: response.status, title, detail: String(problem?.detail ?? ""), retryMs });
    // A 502 of Volley's is a rule that failed; one of a proxy's is a server that is away.
    error.#isPassing = [408, 429, 503].includes(response.status) || (!problem && [500, 502, 504].includes(response.status));
    return error;
  }

  /** @param {unknown} cause */
  static unreachable(cause, title = "The server can't be reached") {
    const error = new VolleyError({ status: 0, title, detail: String(cause), cause });
    error.#isPassing = true;
    return error;
  }

  #isPassing = false;

  /** Whether the same call may go well a little later. */
  get isPassing() {
    return this.#isPassing;
  }
}

/**
 * Opens a session, joins topics and begins to listen.
 * @param {string | URL} url where the server listens
 * @param {Options} [options]
 */
export async function connect(url, options = {}) {
  const volley = new Volley(url, options, OURS);
  await begin(volley, options.topics ?? []);
  return volley;
}

/** `connect` alone makes clients. */
const OURS = Symbol("ours");
/** @type {(volley: Volley, topics: readonly string[]) => Promise<void>} */
let begin;

/** A session at a server: an async iterable of its messages, and an EventTarget for what happens to the connection. */
export class Volley extends EventTarget {
  #base;
  #options;
  /** @type {Opened} */
  #opened = { session: "", pid: "", linger_ms: 0, wait_ms: 25_000 };
  /** @type {Set<string>} */
  #topics = new Set();
  /** @type {import("./volley.d.ts").State} */
  #state = "connecting";
  /** @type {Transport | null} */
  #transport = null;
  /** The ways that are tried, best first; a new list when `use` changes them. @type {readonly Transport[]} */
  #ways;
  /** The ways that have worked once. @type {Set<Transport>} */
  #proven = new Set();
  /** What has come and nobody has taken. @type {Item[]} */
  #ahead = [];
  /** Numbers of messages in the mailbox: the last that came, was taken, and is done with. */
  #came = 0;
  #taken = 0;
  #done = 0;
  /** Who waits for a message. @type {(() => void)[]} */
  #waiting = [];
  /** Who waits until somebody waits for a message. @type {(() => void)[]} */
  #feeding = [];
  /** Calls are made one after the other. @type {Promise<unknown>} */
  #turn = Promise.resolve();
  /** @type {Promise<void> | null} */
  #reopening = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #renewal;
  /** What the present connection is ended with. */
  #listening = new AbortController();
  #closing = new AbortController();
  /** Who pauses before a further try. @type {Set<() => void>} */
  #pausing = new Set();
  /** @type {unknown} */
  #failure = null;

  /**
   * @param {string | URL} url
   * @param {Options} options
   * @param {symbol} ours
   */
  constructor(url, options, ours) {
    super();
    if (ours !== OURS) throw new TypeError("call connect(url, options)");
    this.#base = new URL(url, globalThis.location?.href);
    if (!this.#base.pathname.endsWith("/")) this.#base.pathname += "/";
    this.#options = options;
    this.#ways = waysOf(options.transport ?? "auto");
  }

  static {
    begin = (volley, topics) => volley.#begin(topics);
  }

  /** @param {readonly string[]} topics */
  async #begin(topics) {
    const { signal } = this.#options;
    signal?.throwIfAborted();
    signal?.addEventListener("abort", () => void this.close(), { signal: this.#closing.signal });
    for (const topic of topics) this.#topics.add(topic);
    try {
      await this.#open(topics);
    } catch (error) {
      this.#end(null);
      throw signal?.aborted ? signal.reason : error;
    }
    globalThis.addEventListener?.("online", () => this.#hurry(), { signal: this.#closing.signal });
    void this.#listen().catch((error) => this.#end(error));
  }

  /** The topics that are joined, as far as the client knows. */
  get topics() {
    return [...this.#topics];
  }

  /** The session's PID, which is the `from` of what it publishes. */
  get pid() {
    return this.#opened.pid;
  }

  get state() {
    return this.#state;
  }

  /** How messages come just now; null while there is no connection. */
  get transport() {
    return this.#transport;
  }

  /**
   * Joins a topic; a rule may refuse it (403).
   * @param {string} topic
   */
  async join(topic) {
    await this.#inTurn(() => this.#call("PUT", subscription(topic), {}));
    this.#topics.add(topic);
  }

  /** @param {string} topic */
  async leave(topic) {
    this.#topics.delete(topic);
    await this.#inTurn(() => this.#call("DELETE", subscription(topic), {}));
  }

  /**
   * Publishes, once, however often that takes. What is published one after the other arrives in that order.
   * @param {string} topic
   * @param {unknown} data what JSON can say; or bytes, as a Uint8Array or an ArrayBuffer
   * @returns {Promise<{ event: string, recipients: number }>}
   */
  async publish(topic, data) {
    const isBytes = data instanceof Uint8Array || data instanceof ArrayBuffer;
    const body = isBytes ? /** @type {BodyInit} */ (data) : JSON.stringify(data);
    if (body === undefined) throw new TypeError("JSON has no word for this");
    const headers = {
      "Content-Type": isBytes ? "application/octet-stream" : "application/json",
      "Idempotency-Key": randomKey(),
    };
    const path = `v1/topics/${encodeURIComponent(topic)}/events`;
    return await this.#inTurn(() => this.#call("POST", path, { headers, body }));
  }

  /**
   * Listens in another way from now on; "auto" is the best that works.
   * @param {"auto" | Transport | readonly Transport[]} transport
   */
  use(transport) {
    this.#ways = waysOf(transport);
    this.#interrupt();
  }

  /** Ends the session; whoever iterates is at the end. */
  async close() {
    if (this.#closing.signal.aborted) return;
    this.#end(null);
    if (!this.#opened.session) return;
    // Best effort, also by a page that is being left: a session that nobody hears of ends by itself.
    const headers = { "Volley-Session": this.#opened.session };
    const said = { method: "DELETE", headers, keepalive: true };
    await request(this.#url("v1/sessions"), said, CALL_MS, undefined, json).catch(() => {});
  }

  [Symbol.asyncIterator]() {
    return { next: () => this.#next() };
  }

  /** The next message. Whoever asks for it is done with the one before. @returns {Promise<IteratorResult<Message, undefined>>} */
  async #next() {
    this.#done = this.#taken;
    for (;;) {
      const item = this.#ahead.shift();
      if (item?.message) {
        // What came before a session was opened anew has numbers of its own.
        if (item.of === this.#opened.session) this.#taken = item.message.cursor;
        return { value: item.message, done: false };
      }
      if (item) {
        this.#tell("gap", { missing: item.missing ?? null });
      } else if (this.#closing.signal.aborted) {
        const failure = this.#failure;
        this.#failure = null;
        if (failure) throw failure;
        return { value: undefined, done: true };
      } else {
        await new Promise((/** @type {(value?: undefined) => void} */ resolve) => {
          this.#waiting.push(resolve);
          wake(this.#feeding);
        });
      }
    }
  }

  /** Until somebody waits for a message: nothing more is read before that. @param {AbortSignal} signal */
  async #untilHungry(signal) {
    while (!this.#waiting.length && !signal.aborted) {
      await new Promise((/** @type {(value?: undefined) => void} */ resolve) => this.#feeding.push(resolve));
    }
  }

  /** Ends the present connection; what comes next is up to `#listen`. */
  #interrupt() {
    this.#listening.abort();
    wake(this.#feeding);
    this.#hurry();
  }

  /** Takes in what has come, but for what had come before. @param {Page} page @param {string} of */
  #takeIn(page, of) {
    if (of !== this.#opened.session) return;
    const first = page.cursor - page.messages.length + 1;
    if (page.gap && first - 1 > this.#came) this.#ahead.push({ missing: first - 1 - this.#came, of });
    page.messages.forEach((message, index) => {
      const cursor = first + index;
      if (cursor > this.#came) this.#ahead.push({ message: { ...message, cursor }, of });
    });
    this.#came = Math.max(this.#came, page.cursor);
    wake(this.#waiting);
  }

  // What is said, by HTTP.

  /** @param {string} path */
  #url(path) {
    return new URL(path, this.#base);
  }

  /** @template T @param {() => Promise<T>} call @returns {Promise<T>} */
  #inTurn(call) {
    const turn = this.#turn.then(call);
    this.#turn = turn.catch(() => {});
    return turn;
  }

  /**
   * Makes a call of the session's, again where that helps, in a new session where the old one is over.
   * @param {string} method
   * @param {string} path
   * @param {{ headers?: Record<string, string>, body?: BodyInit }} request
   */
  async #call(method, path, { headers = {}, body }) {
    const until = Date.now() + RETRY_FOR_MS;
    // The session whose publish got no answer. Idempotency-Keys are a session's: in a new one it is not tried again.
    let unclear = "";
    for (let failures = 0; ; failures += 1) {
      // In a session that has not joined everything yet a rule would refuse it.
      await this.#reopening?.catch(() => {});
      if (this.#closing.signal.aborted) throw closed();
      const { session } = this.#opened;
      try {
        if (unclear && unclear !== session) throw perhaps();
        const said = { method, body, headers: { ...headers, "Volley-Session": session } };
        return await request(this.#url(path), said, CALL_MS, this.#closing.signal, json);
      } catch (thrown) {
        const error = /** @type {VolleyError} */ (thrown);
        if (error.status === 410 && !unclear) {
          await this.#reopen(session);
        } else if (error.isPassing && Date.now() < until) {
          if (body !== undefined && error.status !== 429) unclear ||= session;
          await this.#pause(failures, error.retryMs);
        } else {
          throw this.#closing.signal.aborted ? closed() : error;
        }
      }
    }
  }

  /** @param {readonly string[]} topics */
  async #open(topics) {
    const { user, params } = this.#options;
    const bearer = await this.#bearer();
    /** @type {Record<string, string>} */
    const headers = { "Content-Type": "application/json" };
    if (bearer) headers.Authorization = `Bearer ${bearer}`;
    // Whose a token is stands in the token.
    const body = JSON.stringify({ user: bearer ? undefined : user, params, topics });
    const [url, said] = [this.#url("v1/sessions"), { method: "POST", headers, body }];
    this.#opened = await request(url, said, CALL_MS, this.#closing.signal, json);
    [this.#came, this.#taken, this.#done] = [0, 0, 0];
    this.#renewBefore(bearer);
  }

  /** @returns {Promise<string | undefined>} */
  async #bearer() {
    const { token } = this.#options;
    if (typeof token !== "function") return token;
    try {
      return await token();
    } catch (error) {
      throw VolleyError.unreachable(error, "No token could be had");
    }
  }

  /** Opens a session in place of one that is over, once for all who find out, and joins what was joined. @param {string} session */
  async #reopen(session) {
    if (session !== this.#opened.session) return;
    this.#reopening ??= this.#openAnew().finally(() => (this.#reopening = null));
    await this.#reopening;
  }

  async #openAnew() {
    this.#is("reconnecting");
    try {
      await this.#untilDone(() => this.#open([]));
    } catch (error) {
      this.#end(error);
      throw error;
    }
    // Nobody knows what was said meanwhile.
    this.#ahead.push({ missing: null, of: this.#opened.session });
    for (const topic of this.#topics) {
      const [url, headers] = [this.#url(subscription(topic)), { "Volley-Session": this.#opened.session }];
      try {
        await this.#untilDone(() => request(url, { method: "PUT", headers }, CALL_MS, this.#closing.signal, json));
      } catch (thrown) {
        const error = /** @type {VolleyError} */ (thrown);
        // If this one is over as well, the next call finds out.
        if (error.status === 410 || this.#closing.signal.aborted) break;
        this.#topics.delete(topic);
        this.#tell("refused", { topic, error });
      }
    }
    wake(this.#waiting);
    this.#interrupt();
  }

  /** Tries until it is done, or can't be. @template T @param {() => Promise<T>} call @returns {Promise<T>} */
  async #untilDone(call) {
    for (let failures = 0; ; failures += 1) {
      try {
        return await call();
      } catch (thrown) {
        const error = /** @type {VolleyError} */ (thrown);
        if (this.#closing.signal.aborted) throw closed();
        if (!error.isPassing) throw error;
        this.#is("reconnecting", error);
        await this.#pause(failures, error.retryMs);
      }
    }
  }

  /** Where the token is a function, a new one is shown before the old one expires. @param {string | undefined} bearer */
  #renewBefore(bearer) {
    clearTimeout(this.#renewal);
    const expiresMs = typeof this.#options.token === "function" && bearer ? expiry(bearer) : null;
    if (expiresMs === null) return;
    const left = expiresMs - Date.now();
    const wait = Math.min(Math.max(left - RENEW_MS, left / 2, RENEW_MS_MIN), TIMER_MS_MAX);
    this.#renewal = setTimeout(() => void this.#renew(bearer).catch(() => {}), wait);
  }

  /** If it fails, the session ends with its token, and another one is opened. @param {string | undefined} old */
  async #renew(old) {
    if (old && (expiry(old) ?? 0) - Date.now() > TIMER_MS_MAX) return this.#renewBefore(old);
    const bearer = await this.#bearer();
    const headers = { Authorization: `Bearer ${bearer}` };
    await this.#inTurn(() => this.#call("PUT", "v1/sessions", { headers }));
    this.#renewBefore(bearer);
  }

  // What is heard, in one of three ways.

  /** Listens until the end, in the best way that works. */
  async #listen() {
    let [ways, at, failures] = [this.#ways, 0, 0];
    while (!this.#closing.signal.aborted) {
      const way = ways[at];
      const { session } = this.#opened;
      const attempt = this.#attempt(way, session);
      const ended = await this.#hear(way, attempt).catch((thrown) => Ended.by(thrown));
      this.#transport = null;
      if (this.#closing.signal.aborted) return;
      if (attempt.isOpen) {
        this.#proven.add(way);
        failures = 0;
      }
      if (ended.why === "superseded") {
        const detail = "another client listens with this session; this one is not to take it back";
        throw new VolleyError({ status: 409, title: "Superseded", detail });
      }
      if (ended.why === "gone") {
        // All clients of a server that was started anew come here; and one that forgets each session is not to be stormed.
        if (session === this.#opened.session) await this.#pause(failures);
        failures += 1;
        await this.#reopen(session);
      }
      if (ended.why === "full") await this.#untilHungry(this.#closing.signal);
      if (ways !== this.#ways || attempt.signal.aborted || ended.why === "gone" || ended.why === "full") {
        if (ways !== this.#ways) failures = 0;
        ways = this.#ways;
        at = this.#firstOf(ways);
        continue;
      }
      this.#is("reconnecting", ended.error);
      if (ended.why === "refused" && at + 1 < ways.length) {
        at += 1;
        continue;
      }
      await this.#pause(failures, ended.retryMs);
      failures += 1;
      at = this.#firstOf(ways);
    }
  }

  /** The way to begin with: the best of those that have worked, or the best. @param {readonly Transport[]} ways */
  #firstOf(ways) {
    return Math.max(0, ways.findIndex((way) => this.#proven.has(way)));
  }

  /** @param {Transport} way @param {string} session @returns {Attempt} */
  #attempt(way, session) {
    this.#listening = new AbortController();
    const attempt = {
      session,
      signal: this.#listening.signal,
      isOpen: false,
      open: () => {
        if (attempt.isOpen || attempt.signal.aborted) return;
        attempt.isOpen = true;
        this.#transport = way;
        this.#is("open");
        this.#tell("transport", { transport: way });
      },
    };
    return attempt;
  }

  /** @param {Transport} way @param {Attempt} attempt @returns {Promise<Ended>} */
  #hear(way, attempt) {
    if (way === "websocket") return this.#hearSocket(attempt);
    if (way === "events") return this.#hearEvents(attempt);
    return this.#hearPolls(attempt);
  }

  /** @param {Attempt} attempt @returns {Promise<Ended>} */
  async #hearPolls(attempt) {
    const { wait_ms: waitMs } = this.#opened;
    // The first one is answered at once, and shows that this works.
    for (let [query, ms] = ["?wait=0", CALL_MS]; !attempt.signal.aborted; [query, ms] = ["", waitMs + POLL_GRACE_MS]) {
      const headers = { "Volley-Session": attempt.session, "Volley-Cursor": String(this.#done) };
      /** @type {Page} */
      const page = await request(this.#url(`v1/poll${query}`), { headers }, ms, attempt.signal, json);
      if (page.superseded) return new Ended("superseded");
      attempt.open();
      this.#takeIn(page, attempt.session);
      if (page.retry_ms !== undefined) return new Ended("broken", undefined, page.retry_ms);
      await this.#untilHungry(attempt.signal);
    }
    return new Ended("broken");
  }

  /** @param {Attempt} attempt @returns {Promise<Ended>} */
  async #hearEvents(attempt) {
    const headers = { "Volley-Session": attempt.session, "Volley-Cursor": String(this.#done), Accept: EVENTS };
    try {
      return await request(this.#url("v1/stream"), { headers }, this.#openMs, attempt.signal, async (response, timer) => {
        const isStream = response.headers.get("content-type")?.startsWith(EVENTS);
        const reader = isStream && response.body?.pipeThrough(new TextDecoderStream()).getReader();
        if (!reader) return new Ended("refused");
        for (let rest = ""; ; ) {
          const { value, done } = await reader.read();
          if (done) return new Ended(attempt.isOpen ? "broken" : "refused");
          timer.stop();
          attempt.open();
          const blocks = (rest + value).split("\n\n");
          rest = blocks.pop() ?? "";
          for (const block of blocks) {
            const ended = this.#hearEvent(block, attempt.session);
            if (ended) return ended;
          }
          await this.#untilHungry(attempt.signal);
          timer.restart(SILENCE_MS);
        }
      });
    } catch (thrown) {
      // Nothing came in time though somebody has answered, or might have: a proxy that holds streams back.
      const isHeld = thrown instanceof VolleyError && Object(thrown.cause).name === "TimeoutError" && !attempt.isOpen;
      if (isHeld) return new Ended("refused", thrown);
      throw thrown;
    }
  }

  /** @param {string} block @param {string} of @returns {Ended | undefined} */
  #hearEvent(block, of) {
    /** @type {Record<string, string>} */
    const fields = {};
    for (const line of block.split("\n")) {
      const [, name, value] = /^(\w+): ?(.*)$/s.exec(line) ?? [];
      if (name) fields[name] = value;
    }
    if (fields.data === undefined) return undefined;
    const [data, cursor] = [JSON.parse(fields.data), Number(fields.id)];
    switch (fields.event) {
      case undefined: return void this.#takeIn({ cursor, messages: [data] }, of);
      case "gap": return void this.#takeIn({ cursor, messages: [], gap: data.gap }, of);
      case "superseded": return new Ended("superseded");
      case "end": return data.retry_ms === undefined ? new Ended("gone") : new Ended("broken", undefined, data.retry_ms);
      default: return undefined; // of a later version
    }
  }

  /** @param {Attempt} attempt @returns {Promise<Ended>} */
  async #hearSocket(attempt) {
    const WebSocket = this.#options.WebSocket ?? globalThis.WebSocket;
    if (!WebSocket) return new Ended("refused");
    const url = this.#url("v1/ws");
    url.protocol = url.protocol.replace("http", "ws");
    // Where tokens are shown, a ticket stands in the URL in place of the session's own token.
    url.searchParams.set("session", this.#options.token ? await this.#ticket(attempt) : attempt.session);
    url.searchParams.set("cursor", String(this.#done));
    if (attempt.signal.aborted) return new Ended("broken");
    const socket = new WebSocket(url.href);
    const timer = within(this.#openMs, attempt.signal);
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    let question;
    let acknowledged = this.#done;
    const acknowledge = setInterval(() => {
      if (this.#done <= acknowledged || attempt.session !== this.#opened.session || !attempt.isOpen) return;
      acknowledged = this.#done;
      socket.send(JSON.stringify({ ack: acknowledged }));
    }, ACK_MS);
    try {
      const ended = await new Promise((/** @type {(ended: Ended) => void} */ resolve) => {
        const broken = () => resolve(new Ended(attempt.isOpen ? "broken" : "refused"));
        const isAlive = () => {
          timer.restart(SILENCE_MS);
          clearTimeout(question);
          question = setTimeout(() => socket.send(JSON.stringify({ ref: "there?", ack: this.#done })), QUIET_MS);
        };
        timer.signal.addEventListener("abort", broken, { once: true });
        socket.onopen = () => {
          attempt.open();
          isAlive();
        };
        socket.onmessage = (/** @type {{ data: unknown }} */ { data }) => {
          isAlive();
          const page = parsed(String(data));
          if (!page) return broken();
          if (page.messages) this.#takeIn(page, attempt.session);
          if (this.#ahead.length > AHEAD_MAX) resolve(new Ended("full"));
        };
        socket.onerror = broken;
        socket.onclose = (/** @type {{ code: number, reason: string }} */ { code, reason }) => {
          if (code === 4409) resolve(new Ended("superseded"));
          else if (code === 4410) resolve(new Ended("gone"));
          else if (code === 1012) resolve(new Ended("broken", undefined, retryOf(reason)));
          else broken();
        };
      });
      // No page is told why a WebSocket was not opened. Another call says whether it is the session, or the server.
      if (ended.why === "refused" && !attempt.signal.aborted) await this.#ticket(attempt);
      return ended;
    } finally {
      clearInterval(acknowledge);
      clearTimeout(question);
      timer.end();
      socket.onopen = socket.onmessage = socket.onerror = socket.onclose = null;
      if (socket.readyState < 2) socket.close(1000);
    }
  }

  /** @param {Attempt} attempt @returns {Promise<string>} */
  async #ticket(attempt) {
    const headers = { "Volley-Session": attempt.session };
    const issued = await request(this.#url("v1/tickets"), { method: "POST", headers }, CALL_MS, attempt.signal, json);
    return issued.ticket;
  }

  get #openMs() {
    return this.#options.openMs ?? 5_000;
  }

  /** Waits a while, and not as long as all others do. @param {number} failures @param {number} [atLeast] */
  async #pause(failures, atLeast) {
    const longest = Math.min(PAUSE_MS * 2 ** failures, PAUSE_MS_MAX);
    const chance = longest * (failures ? 0.5 + Math.random() / 2 : Math.random());
    const ms = atLeast === undefined ? chance : atLeast + Math.random() * Math.max(atLeast / 2, PAUSE_MS);
    if (this.#closing.signal.aborted) return;
    await new Promise((/** @type {(value?: undefined) => void} */ resolve) => {
      const goOn = () => {
        clearTimeout(timer);
        this.#pausing.delete(goOn);
        resolve();
      };
      const timer = setTimeout(goOn, ms);
      this.#pausing.add(goOn);
    });
  }

  /** Ends pauses early. */
  #hurry() {
    for (const goOn of [...this.#pausing]) goOn();
  }

  /** @param {import("./volley.d.ts").State} state @param {unknown} [error] */
  #is(state, error) {
    if (this.#state === state || this.#state === "closed") return;
    this.#state = state;
    this.#tell("state", { state, error });
  }

  /** @param {string} type @param {object} detail */
  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  /** Nothing more is heard; whoever iterates gets what has come already. @param {unknown} failure */
  #end(failure) {
    if (this.#closing.signal.aborted) return;
    this.#failure = failure;
    if (!failure) this.#ahead = [];
    clearTimeout(this.#renewal);
    this.#is("closed", failure ?? undefined);
    this.#transport = null;
    this.#closing.abort();
    this.#interrupt();
    wake(this.#waiting);
  }
}

/** Why a connection ended, and whether it is the connection's fault, the way's, the session's or nobody's. */
class Ended {
  /** @param {"broken" | "refused" | "gone" | "superseded" | "full"} why @param {VolleyError} [error] @param {number} [retryMs] */
  constructor(why, error, retryMs) {
    this.why = why;
    this.error = error;
    this.retryMs = retryMs;
  }

  /** @param {unknown} thrown */
  static by(thrown) {
    if (!(thrown instanceof VolleyError)) throw thrown;
    if (thrown.status === 410) return new Ended("gone", thrown);
    // A server that is away, or full, is so in every way.
    const isPassing = thrown.status === 0 || thrown.status === 429 || thrown.retryMs !== undefined;
    return new Ended(isPassing ? "broken" : "refused", thrown, thrown.retryMs);
  }
}

/**
 * What a call that went well was answered, or a VolleyError.
 * @template T
 * @param {URL} url
 * @param {RequestInit} said
 * @param {number} ms
 * @param {AbortSignal | undefined} signal
 * @param {(response: Response, timer: ReturnType<typeof within>) => Promise<T>} read
 * @returns {Promise<T>}
 */
async function request(url, said, ms, signal, read) {
  const timer = within(ms, signal);
  try {
    const response = await fetch(url, { ...said, signal: timer.signal, cache: "no-store" });
    if (!response.ok) throw await VolleyError.from(response);
    return await read(response, timer);
  } catch (error) {
    throw error instanceof VolleyError ? error : VolleyError.unreachable(error);
  } finally {
    timer.end();
  }
}

/** @param {Response} response */
async function json(response) {
  const text = await response.text();
  return text ? JSON.parse(text) : undefined;
}

/**
 * A signal that aborts with another one or after a time, which can be set anew.
 * @param {number} ms
 * @param {AbortSignal} [signal]
 */
function within(ms, signal) {
  const controller = new AbortController();
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  const follow = () => controller.abort(signal?.reason);
  const watch = {
    signal: controller.signal,
    stop: () => clearTimeout(timer),
    restart: (/** @type {number} */ anew) => {
      clearTimeout(timer);
      const late = () => controller.abort(new DOMException(`nothing within ${anew} ms`, "TimeoutError"));
      timer = setTimeout(late, anew);
    },
    end: () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", follow);
      controller.abort();
    },
  };
  if (signal?.aborted) follow();
  signal?.addEventListener("abort", follow, { once: true });
  watch.restart(ms);
  return watch;
}

/** @param {"auto" | Transport | readonly Transport[]} said @returns {readonly Transport[]} */
function waysOf(said) {
  const ways = said === "auto" ? [...EVERY_WAY] : [said].flat();
  const stranger = ways.find((way) => !EVERY_WAY.includes(/** @type {Transport} */ (way)));
  if (stranger !== undefined || !ways.length) throw new TypeError(`a transport is one of ${EVERY_WAY.join(", ")}`);
  return /** @type {Transport[]} */ (ways);
}

/** When a JWT expires; null if it is none. @param {string} token */
function expiry(token) {
  try {
    const { exp } = JSON.parse(atob(token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/")));
    return typeof exp === "number" ? exp * 1000 : null;
  } catch {
    return null;
  }
}

/** What the server says when it goes down. @param {string} reason */
function retryOf(reason) {
  return Number(parsed(reason)?.retry_ms) || undefined;
}

/** An object; null where something else was said. @param {string} text */
function parsed(text) {
  try {
    return Object(JSON.parse(text));
  } catch {
    return null;
  }
}

/** Not `randomUUID`, which pages have over HTTPS alone. */
function randomKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** @param {string} topic */
function subscription(topic) {
  return `v1/topics/${encodeURIComponent(topic)}/subscription`;
}

function perhaps() {
  const detail = "the session was over before it was answered; whether it was done is not known";
  return new VolleyError({ status: 410, title: "Gone", detail });
}

function closed() {
  return new VolleyError({ status: 0, title: "The client is closed" });
}

/** @param {(() => void)[]} waiting */
function wake(waiting) {
  for (const resolve of waiting.splice(0)) resolve();
}
