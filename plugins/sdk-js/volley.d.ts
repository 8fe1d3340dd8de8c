// The contract (wit/v0.1/router.wit, which explains every word of it) as types for rules in JavaScript and TypeScript.
// `volley plugin build` puts this file into `target/volley`, where jsconfig.json or tsconfig.json of a rule finds it.

/** What a rule's module exports as `handler`. */
declare module "volley" {
  import type { Event, Outcome } from "volley:router/types@0.1.0";

  export interface PluginInfo {
    name: string;
    version: string;
    description: string;
  }

  export interface Rule {
    info(): PluginInfo;
    /** Once an instance, with the route's config as JSON: opens tables and groups. A string that is thrown refuses it. */
    init(config: string): void;
    /** The complete list for one event. A `Refusal` that is thrown is told the client; an `Error` fails the event (502). */
    route(event: Event): Outcome;
  }
}

declare module "volley:router/types@0.1.0" {
  /** A session's address; below 2^53. */
  export type Pid = bigint;
  /** Any bytes: a key, a value or the name of a group. */
  export type Term = Uint8Array;

  export type Payload =
    | { tag: "json"; val: Uint8Array }
    | { tag: "text"; val: string }
    | { tag: "binary"; val: Uint8Array };

  export interface Event {
    id: bigint;
    topic: string;
    kind: "publish" | "join" | "leave" | "exit" | "timer";
    /** Of nobody for timers and for back-ends. */
    sender?: Pid;
    user?: string;
    timeMs: bigint;
    data: Payload;
    reason?: "normal" | "shutdown" | "killed" | "timeout";
    /** Of a join: what the session gave when it was opened, as JSON. */
    params?: string;
  }

  /** Postfix: an operand is pushed, an operation takes the two topmost sets. */
  export type SetOp =
    | { tag: "pids"; val: BigUint64Array }
    | { tag: "members"; val: [scope: string, group: Term] }
    | { tag: "subscribers"; val: string }
    | { tag: "union" }
    | { tag: "intersection" }
    | { tag: "subtract" };

  export type Recipients =
    | { tag: "subscribers" }
    | { tag: "pids"; val: BigUint64Array }
    | { tag: "expr"; val: SetOp[] };

  export type Message = { tag: "forward" } | { tag: "data"; val: Payload };

  export interface Delivery {
    to: Recipients;
    message: Message;
  }

  export interface Outcome {
    deliveries: Delivery[];
    remove: BigUint64Array;
  }

  /** Thrown by `route`: not allowed (403), or not understood (400). */
  export type Refusal = { tag: "refused"; val: string } | { tag: "invalid"; val: string };

  export type Reach = "node" | "cluster";

  /** What calls to the host throw, as `payload` of an error. */
  export type HostError =
    | { tag: "badarg"; val: string }
    | { tag: "not-owner" }
    | { tag: "system-limit"; val: string }
    | { tag: "unavailable" };
}

declare module "volley:router/ets@0.1.0" {
  import type { Reach, Term } from "volley:router/types@0.1.0";

  export interface Options {
    kind: "set" | "ordered-set" | "bag";
    reach: Reach;
    durable: boolean;
    ttlMs?: bigint;
    maxObjects: bigint;
    maxBytes: bigint;
  }

  export interface TableObject {
    key: Term;
    value: Term;
  }

  export interface CounterOp {
    key: Term;
    incr: bigint;
    default: bigint;
    threshold?: [bigint, bigint];
  }

  export interface Page {
    objects: TableObject[];
    continuation?: Term;
  }

  export class Table {
    private constructor();
    static open(name: string, options: Options): Table;
    insert(objects: TableObject[]): void;
    insertNew(objects: TableObject[]): boolean;
    lookup(keys: Term[]): Term[][];
    take(key: Term): Term[];
    delete(keys: Term[]): bigint;
    deleteObject(objects: TableObject[]): bigint;
    updateCounter(ops: CounterOp[]): BigInt64Array;
    selectReplace(key: Term, old: Term, new_: Term): boolean;
    select(prefix: Term, after: Term | undefined, limit: number): Page;
    size(): bigint;
  }
}

declare module "volley:router/pg@0.1.0" {
  import type { Pid, Reach, Term } from "volley:router/types@0.1.0";

  export class Scope {
    private constructor();
    static open(name: string, reach: Reach): Scope;
    join(group: Term, pids: BigUint64Array): bigint;
    leave(group: Term, pids: BigUint64Array): bigint;
    getMembers(group: Term): BigUint64Array;
    whichGroups(pid: Pid): Term[];
    count(groups: Term[]): BigUint64Array;
  }
}

declare module "volley:router/logger@0.1.0" {
  export function log(level: "error" | "warning" | "info" | "debug", message: string): void;
}

declare module "volley:router/erlang@0.1.0" {
  import type { Payload } from "volley:router/types@0.1.0";

  export function systemTimeMs(): bigint;
  export function monotonicTimeUs(): bigint;
  export function rand(count: number): BigUint64Array;
  export function sendAfter(delayMs: bigint, topic: string, data: Payload): bigint;
  export function cancelTimer(timer: bigint): boolean;
}
