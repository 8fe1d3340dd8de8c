// Small drawings. The number stands beside each in words, so that they say nothing to who does not see them.

import { el, svg } from "./dom.js";

// It shows so many values at most, and leaves room for so many.
const [POINTS, ROOM] = [120, 30];
const [WIDTH, HEIGHT] = [120, 28];

// A line of the last values.
export class Spark {
  #area = svg("path", { class: "area" });
  #line = svg("path", { class: "line" });

  constructor() {
    const attributes = { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", class: "spark", "aria-hidden": "true" };
    this.element = svg("svg", attributes, this.#area, this.#line);
  }

  draw(values) {
    const last = values.slice(-POINTS);
    if (last.length < 2) return;
    const top = Math.max(...last, 1e-9) * 1.08;
    const room = Math.max(ROOM, last.length);
    const x = (at) => ((room - last.length + at) * WIDTH) / (room - 1);
    const y = (value) => HEIGHT - 1.5 - (value / top) * (HEIGHT - 3);
    const points = last.map((value, at) => `${x(at).toFixed(1)} ${y(value).toFixed(1)}`);
    this.#line.setAttribute("d", `M${points.join("L")}`);
    this.#area.setAttribute("d", `M${x(0).toFixed(1)} ${HEIGHT}L${points.join("L")}L${WIDTH} ${HEIGHT}Z`);
  }
}

// How much of a whole, in a strip. `high` and `full` say from where on it is worth a look.
export class Strip {
  #inside = el("i");

  constructor() {
    this.element = el("span", { class: "strip", "aria-hidden": "true" }, this.#inside);
  }

  set(share, { high = 0.7, full = 0.9, quiet = false } = {}) {
    const part = Math.min(1, Math.max(0, share));
    this.#inside.style.width = `${part > 0 ? Math.max(1.5, part * 100) : 0}%`;
    const level = quiet || part < high ? "" : part < full ? "high" : "full";
    if (this.element.dataset.level !== level) this.element.dataset.level = level;
  }
}
