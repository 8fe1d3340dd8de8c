// What `volley plugin build` compiles: the rule, and words for what goes wrong in it. To a server an error that nobody catches
// is a trap without any; with them in the log, it says them to whoever asks what failed.

import { handler as rule } from "{{rule}}";
import { log } from "volley:router/logger@0.1.0";

/** A PID is a bigint, of which JSON knows nothing. */
const plain = (_key, value) => (typeof value === "bigint" ? `${value}n` : value);

/** What it is and where it was thrown; of what the host refused, its reason. */
function words(thrown) {
  const { tag, val } = thrown?.payload ?? {};
  if (tag !== undefined) return val === undefined ? tag : `${tag}: ${val}`;
  if (!(thrown instanceof Error)) return `threw ${typeof thrown === "object" ? JSON.stringify(thrown, plain) : String(thrown)}`;
  const [where] = String(thrown.stack ?? "").split("\n");
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

function isRefusal(thrown) {
  const { tag } = thrown?.payload ?? thrown ?? {};
  return tag === "refused" || tag === "invalid";
}

function outcome(value) {
  if (Array.isArray(value?.deliveries) && value.remove instanceof BigUint64Array) return value;
  const words = "route has to return { deliveries: [...], remove: new BigUint64Array() }, or to throw a refusal";
  log("error", words);
  throw new TypeError(words);
}

export const handler = {
  info: told("info", () => false),
  init: told("init", (thrown) => typeof thrown === "string"),
  route: told("route", isRefusal, outcome),
};
