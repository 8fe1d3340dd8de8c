// Elements, built from names and texts. What others wrote is only ever text: nothing here makes markup of it, and the page's
// policy forbids it.

const SVG = "http://www.w3.org/2000/svg";

// An element. Attributes that are functions are listeners; true and false say whether an attribute is there.
export function el(name, attributes = {}, ...children) {
  return fill(document.createElement(name), attributes, children);
}

// The same for drawings.
export function svg(name, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, name), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

// Changes a text only if it is another one: what somebody has selected stays selected.
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function button(text, onclick, attributes = {}) {
  return el("button", { type: "button", click: onclick, ...attributes }, text);
}

let labels = 0;

// A field and its label.
export function field(label, input, hint = null) {
  input.id ||= `field-${++labels}`;
  const parts = [el("label", { for: input.id }, label), input];
  if (hint) {
    parts.push(el("p", { class: "hint", id: `${input.id}-hint` }, hint));
    input.setAttribute("aria-describedby", `${input.id}-hint`);
  }
  return el("div", { class: "field" }, ...parts);
}

// A part of the page with a heading.
export function panel(title, ...children) {
  const id = `panel-${++labels}`;
  return el("section", { class: "panel", "aria-labelledby": id }, el("h2", { id }, title), ...children);
}

// A table whose rows are changed in place. A column is {title, kind, show(row), draw(cell, row), head, wide}: `show` gives text,
// `draw` does what it likes with the cell; `kind` "number" is set right, `head` names the row, `wide` is left out on a phone.
export class Table {
  #columns;
  #body = el("tbody");
  #rows = new Map();
  #empty;

  constructor(caption, columns, empty) {
    this.#columns = columns;
    this.#empty = el("p", { class: "empty" }, empty);
    const head = columns.map((column) => el("th", { scope: "col", class: classes(column) }, column.title));
    const table = el("table", {}, el("caption", {}, caption), el("thead", {}, el("tr", {}, head)), this.#body);
    // It scrolls by itself where there is no room, and by the keyboard, too.
    this.scroll = el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption }, table);
    this.element = el("div", {}, this.scroll, this.#empty);
    this.update([], () => null);
  }

  update(rows, key) {
    const gone = new Set(this.#rows.keys());
    rows.forEach((row, at) => {
      const name = key(row, at);
      gone.delete(name);
      let line = this.#rows.get(name);
      if (!line) {
        const cell = (column) =>
          column.head ? el("th", { scope: "row", class: classes(column) }) : el("td", { class: classes(column) });
        line = el("tr", {}, this.#columns.map(cell));
        this.#rows.set(name, line);
      }
      this.#columns.forEach((column, index) => {
        const cell = line.children[index];
        if (column.draw) column.draw(cell, row);
        else say(cell, String(column.show(row) ?? "–"));
      });
      if (this.#body.children[at] !== line) this.#body.insertBefore(line, this.#body.children[at] ?? null);
    });
    for (const name of gone) {
      this.#rows.get(name).remove();
      this.#rows.delete(name);
    }
    this.scroll.hidden = rows.length === 0;
    this.#empty.hidden = rows.length > 0;
  }
}

function classes(column) {
  const all = [column.kind, column.wide && "wide", column.class].filter(Boolean).join(" ");
  return all || null;
}

// A cell that is drawn once for a row, and then only told of changes.
export function once(make, update) {
  const made = new WeakMap();
  return (cell, row) => {
    let drawn = made.get(cell);
    if (!drawn) {
      drawn = make(row);
      made.set(cell, drawn);
      cell.replaceChildren(drawn);
    }
    update(drawn, row);
  };
}

// Something that an operator is told, for a while.
export function note(text, kind = "good") {
  const line = el("p", { class: `note ${kind}` }, text);
  document.getElementById("notes").append(line);
  setTimeout(() => line.remove(), 8000);
}
