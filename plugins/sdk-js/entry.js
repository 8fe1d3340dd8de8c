// What `volley plugin build` compiles: the rule, and words for what goes wrong in it. To a server an error that nobody catches
// is a trap without any; with them in the log, it says them to whoever asks what failed.

import { handler as rule } from "{{rule}}";
import { log } from "volley:router/logger@0.1.0";

for (const name of ["info", "init", "route"]) {
  if (typeof rule?.[name] !== "function") throw new TypeError(`the rule's \`handler\` has no function \`${name}\``);
}

/** A PID is a bigint, of which JSON knows nothing. */
const plain = (_key, value) => (typeof value === "bigint" ? `${value}n` : value);

/** Frames of the engine's bindings, and of this module. */
const NOT_THE_RULES = /\b(initializer|target\/volley\/entry)\.js:/;

/** What it is and where it was thrown; of what the host refused, its reason. */
function words(thrown) {
  const { tag, val } = thrown?.payload ?? {};
  if (tag !== undefined) return val === undefined ? tag : `${tag}: ${val}`;
  // Those of the bindings are of another realm, where `Error` is another one.
  if (Object.prototype.toString.call(thrown) !== "[object Error]") return `threw ${typeof thrown === "object" ? JSON.stringify(thrown, plain) : String(thrown)}`;
  const frames = String(thrown.stack ?? "").split("\n");
  const where = frames.find((frame) => frame !== "" && !NOT_THE_RULES.test(frame)) ?? frames[0];
  return where === "" ? `${thrown}` : `${thrown} (${where.replace("@", " at ")})`;
}

function say(thrown) {
  let said = "threw what has no words";
  try {
    said = words(thrown);
  } catch {} // Such as an error whose toString throws.
  log("error", said);
}

/** An export of the rule's, which may be async. `isAnswer` says what is thrown on purpose: a refusal. */
const told = (name, isAnswer, finish = (value) => value) => (argument) => {
  const failed = (thrown) => {
    if (!isAnswer(thrown)) say(thrown);
    throw thrown;
  };
  let value;
  try {
    value = rule[name](argument);
  } catch (thrown) {
    failed(thrown);
  }
  return value instanceof Promise ? value.then(finish, failed) : finish(value);
};

/** The bindings trap on an answer of another shape, without a word. */
function wrong(words) {
  log("error", words);
  throw new TypeError(words);
}

function isRefusal(thrown) {
  const { tag, val } = thrown?.payload ?? thrown ?? {};
  if (tag !== "refused" && tag !== "invalid") return false;
  if (typeof val !== "string") wrong(`a refusal says why: { tag: "${tag}", val: "words" }`);
  return true;
}

function outcome(value) {
  if (!Array.isArray(value?.deliveries) || !(value.remove instanceof BigUint64Array))
    wrong("route has to return { deliveries: [...], remove: new BigUint64Array() }, or to throw a refusal");
  for (const delivery of value.deliveries) {
    if (!isTo(delivery?.to))
      wrong(`\`to\` of a delivery is { tag: "subscribers" }, { tag: "pids", val: BigUint64Array } or { tag: "expr", val: [...] }`);
    if (!isMessage(delivery.message))
      wrong(`\`message\` of a delivery is { tag: "forward" } or { tag: "data", val: { tag: "json" | "text" | "binary", val } }`);
  }
  return value;
}

function isTo(to) {
  if (to?.tag === "pids") return to.val instanceof BigUint64Array;
  return to?.tag === "subscribers" || (to?.tag === "expr" && Array.isArray(to.val) && to.val.every(isStep));
}

function isStep(step) {
  switch (step?.tag) {
    case "pids": return step.val instanceof BigUint64Array;
    case "members": return Array.isArray(step.val) && typeof step.val[0] === "string" && step.val[1] instanceof Uint8Array;
    case "subscribers": return typeof step.val === "string";
    default: return step?.tag === "union" || step?.tag === "intersection" || step?.tag === "subtract";
  }
}

function isMessage(message) {
  if (message?.tag !== "data") return message?.tag === "forward";
  const { tag, val } = message.val ?? {};
  return tag === "text" ? typeof val === "string" : (tag === "json" || tag === "binary") && val instanceof Uint8Array;
}

export const handler = {
  info: told("info", () => false),
  init: told("init", (thrown) => typeof thrown === "string"),
  route: told("route", isRefusal, outcome),
};
