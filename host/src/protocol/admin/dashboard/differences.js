// The events that a shadow would have routed otherwise.

import { Table, el, once } from "./dom.js";

export function differences(caption, empty) {
  const line = (sign, kind, pids) =>
    pids.length ? el("span", { class: `recipients ${kind}` }, `${sign} ${pids.join(" ")}`, el("span", { class: "unseen" }, ` (${kind})`)) : null;
  const table = new Table(
    caption,
    [
      { title: "Topic", head: true, class: "name", show: (row) => row.topic },
      { title: "What", wide: true, show: (row) => row.kind },
      {
        title: "Difference",
        class: "most",
        draw: once(
          (row) => el("div", { class: "name" }, row.what, line("+", "extra", row.extra), line("−", "missing", row.missing)),
          () => {},
        ),
      },
    ],
    empty,
  );
  return { element: el("div", { class: "some" }, table.element), update: (rows) => table.update(rows, (row) => row.event) };
}
