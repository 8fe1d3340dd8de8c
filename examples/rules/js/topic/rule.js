// The plain topic: what is published is delivered, unchanged, to all subscribers of the topic, the sender included.

/** @type {import("volley").Rule} */
export const handler = {
  info: () => ({ name: "topic", version: "0.1.0", description: "to all subscribers, unchanged" }),

  init(_config) {},

  route(event) {
    /** @type {import("volley:router/types@0.1.0").Delivery[]} */
    const deliveries = [];
    if (event.kind === "publish") deliveries.push({ to: { tag: "subscribers" }, message: { tag: "forward" } });
    return { deliveries, remove: new BigUint64Array() };
  },
};
