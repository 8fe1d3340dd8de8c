// What `volley plugin build` compiles: the rule, and words for what goes wrong in it. To a server an error that nobody catches
// is a trap without any; with them in the log, it says them to whoever asks what failed.

import { handler as rule } from "{{rule}}";
import { log } from "volley:router/logger@0.1.0";

/** What it is and where it was thrown; of what the host refused, its reason. */
function words(thrown) {
  const { tag, val } = thrown?.payload ?? {};
  if (tag !== undefined) return val === undefined ? tag : `${tag}: ${val}`;
  if (!(thrown instanceof Error)) return `threw ${typeof thrown === "object" ? JSON.stringify(thrown) : String(thrown)}`;
  const [where] = thrown.stack.split("\n");
  return `${thrown} (${where.replace("@", " at ")})`;
}

/** An export of the rule's. `isAnswer` says what is thrown on purpose: a refusal. */
const told = (name, isAnswer) => (argument) => {
  try {
    return rule[name](argument);
  } catch (thrown) {
    if (!isAnswer(thrown)) log("error", words(thrown));
    throw thrown;
  }
};

const answer = told("route", (thrown) => thrown?.tag === "refused" || thrown?.tag === "invalid");

export const handler = {
  info: told("info", () => false),
  init: told("init", (thrown) => typeof thrown === "string"),
  route(event) {
    const outcome = answer(event);
    if (Array.isArray(outcome?.deliveries) && outcome.remove instanceof BigUint64Array) return outcome;
    const words = "route has to return { deliveries: [...], remove: new BigUint64Array() }, or to throw a refusal";
    log("error", words);
    throw new TypeError(words);
  },
};
