// The types of volley.js. A test holds the two against each other.

/** How messages come: a WebSocket, server-sent events, or long polls. */
export type Transport = "websocket" | "events" | "poll";

/** `closed` is the end; before it, a connection that breaks is opened again. */
export type State = "connecting" | "open" | "reconnecting" | "closed";

/** What a rule has sent to this session. */
export interface Message<Data = any> {
  /** Its number in the session, from 1. A session that is opened anew begins again. */
  readonly cursor: number;
  readonly topic: string;
  /** The PID of the session that published; null of a back-end. */
  readonly from: string | null;
  /** The event that it comes from, as `publish` told its publisher. */
  readonly event: string;
  readonly data: Data;
  /** `data` is bytes in base64, since what was published was neither JSON nor text. */
  readonly encoding?: "base64";
}

export interface Options {
  /** Who this is, where no token says so. */
  user?: string;
  /** Topics to join at once; if a rule refuses one, `connect` fails. */
  topics?: readonly string[];
  /** What rules are told with each join. */
  params?: Record<string, unknown>;
  /** A bearer's token (JWT). A function is asked for one whenever one is needed, and before the last one expires. */
  token?: string | (() => string | Promise<string>);
  /** The ways to listen, best first; "auto", the default, is WebSocket, server-sent events, long polls. */
  transport?: "auto" | Transport | readonly Transport[];
  /** Aborting it closes the client. */
  signal?: AbortSignal;
  /** After so many milliseconds without a sign of life, a new stream counts as held back, and the next way is tried [5000]. */
  openMs?: number;
  /** A WebSocket for a runtime that has none, such as that of npm's `ws` for Node 20. Without one, streams are used. */
  WebSocket?: new (url: string) => any;
}

/** What happens to a client, with what `event.detail` says of it. */
export interface VolleyEvents {
  /** The connection broke, is there again, or has ended. */
  state: { state: State; error?: unknown };
  /** Messages come in this way from now on. */
  transport: { transport: Transport };
  /** So many messages are missing before the next one; null: nobody knows, since the session had to be opened anew. */
  gap: { missing: number | null };
  /** A topic that was joined could not be joined again in a new session. */
  refused: { topic: string; error: VolleyError };
}

/** Opens a session, joins topics and begins to listen. Fails with a VolleyError. */
export function connect(url: string | URL, options?: Options): Promise<Volley>;

/** A session: iterate over it for its messages, in one loop. */
export class Volley extends EventTarget implements AsyncIterable<Message> {
  private constructor();
  readonly topics: string[];
  /** What stands as `from` in what this client publishes. */
  readonly pid: string;
  readonly state: State;
  readonly transport: Transport | null;
  /** Joins a topic; a rule may refuse it (403). */
  join(topic: string): Promise<void>;
  leave(topic: string): Promise<void>;
  /** Publishes once, however often that takes; calls are made one after the other. Bytes are a Uint8Array or an ArrayBuffer. */
  publish(topic: string, data: unknown): Promise<{ event: string; recipients: number }>;
  /** Listens in another way from now on. */
  use(transport: "auto" | Transport | readonly Transport[]): void;
  /** Ends the session, and every loop over it. */
  close(): Promise<void>;
  [Symbol.asyncIterator](): AsyncIterator<Message, undefined>;
  addEventListener<Name extends keyof VolleyEvents>(
    name: Name,
    listener: (event: CustomEvent<VolleyEvents[Name]>) => void,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener(
    name: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | AddEventListenerOptions,
  ): void;
}

/** Why a call failed (RFC 9457). */
export class VolleyError extends Error {
  constructor(problem: { status: number; title: string; detail?: string; retryMs?: number; cause?: unknown });
  /** The HTTP status; 0 where there was no answer, 409 where another client has taken the session. */
  readonly status: number;
  readonly title: string;
  readonly detail: string;
  /** What Retry-After says. */
  readonly retryMs?: number;
  /** Whether the same call may go well a little later. */
  readonly isPassing: boolean;
}
