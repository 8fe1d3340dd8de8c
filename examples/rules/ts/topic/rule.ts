// The plain topic: what is published is delivered, unchanged, to all subscribers of the topic, the sender included.

import type { Rule } from "volley";
import type { Delivery, Event, Outcome } from "volley:router/types@0.1.0";

function deliveries(event: Event): Delivery[] {
  return event.kind === "publish" ? [{ to: { tag: "subscribers" }, message: { tag: "forward" } }] : [];
}

export const handler: Rule = {
  info: () => ({ name: "topic", version: "0.1.0", description: "to all subscribers, unchanged" }),

  init(_config: string): void {},

  route(event: Event): Outcome {
    return { deliveries: deliveries(event), remove: new BigUint64Array() };
  },
};
