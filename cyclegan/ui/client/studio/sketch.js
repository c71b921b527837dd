// A sheet to draw on, for models that make pictures of line drawings; with a finger, a mouse or keys.

import { t } from "../words.js";
import { Choice, el, symbol } from "./parts.js";

const SIDE = 720; // pixels of the sheet
// The lines of the drawings that such models learn from (OpenMoji) are 2 of 72 pixels wide.
const WIDTHS = { pen: (SIDE * 2) / 72, eraser: (SIDE * 7) / 72 };
const STEP = 12; // pixels that an arrow key moves the pen; with shift a quarter of it

/** Draws in a dialog; `onfile(file)` gets what was drawn as a PNG. What is on the sheet stays. Every
 * sheet of the page has an `id` of its own, for its tools. */
export class Sketch {
  #strokes = []; // {tool, points}; without points the sheet is white from there on
  #stroke = null; // the one that is being drawn
  #pen = [SIDE / 2, SIDE / 2]; // where the keys have the pen
  #buttons = [];

  constructor(onfile, id = "tool") {
    this.onfile = onfile;
    this.canvas = el("canvas", {
      width: SIDE,
      height: SIDE,
      tabindex: 0,
      role: "application",
      "aria-label": t("translate.sheet"),
      onkeydown: (event) => this.#key(event),
    });
    this.mark = el("span", { class: "mark", "aria-hidden": "true", hidden: true });
    this.tool = new Choice(id, t("translate.tool"), () => {});
    this.tool.offer(
      Object.keys(WIDTHS).map((tool) => [tool, t(`translate.${tool}`), tool]),
      "pen",
    );
    const button = (name, onclick) =>
      el("button", { type: "button", onclick }, symbol(name), el("span", {}, t(`translate.${name}`)));
    this.undo = button("undo", () => this.#change(() => this.#strokes.pop()));
    this.clear = button("clear", () => this.#change(() => this.#strokes.push({ points: null })));
    this.done = el(
      "button",
      { type: "button", class: "first", onclick: () => this.#give() },
      t("translate.draw_done"),
    );
    const close = el(
      "button",
      { type: "button", onclick: () => this.element.close() },
      t("translate.close"),
    );
    this.element = el(
      "dialog",
      { class: "sketch", "aria-label": t("translate.draw") },
      el("div", { class: "sheet" }, this.canvas, this.mark),
      el("p", { class: "hint" }, t("translate.draw_hint")),
      el("div", { class: "ways" }, this.tool.element, this.undo, this.clear),
      el("div", { class: "ways last" }, this.done, close),
    );
    this.#listen();
    this.#change(() => {});
  }

  /** A button that opens the sheet, hidden until there is a model for drawings. */
  opener(kind = "") {
    const onclick = () => this.open();
    const button = el(
      "button",
      { type: "button", class: `draw ${kind}`, hidden: true, onclick },
      symbol("pen"),
      t("translate.draw"),
    );
    this.#buttons.push(button);
    return button;
  }

  /** Show or hide those buttons. */
  offer(drawn) {
    for (const button of this.#buttons) button.hidden = !drawn;
  }

  open() {
    this.element.showModal();
    this.canvas.focus();
  }

  #change(change) {
    change();
    this.#stroke = null;
    const context = this.canvas.getContext("2d");
    const last = this.#strokes.findLastIndex(({ points }) => !points);
    context.fillStyle = "white";
    context.fillRect(0, 0, SIDE, SIDE);
    for (const stroke of this.#strokes.slice(last + 1)) draw(context, stroke);
    this.undo.disabled = !this.#strokes.length;
    this.clear.disabled = this.done.disabled = last === this.#strokes.length - 1;
  }

  #begin(tool, point) {
    this.#change(() => this.#strokes.push({ tool, points: [point] }));
    this.#stroke = this.#strokes.at(-1);
  }

  #add(point) {
    const { tool, points } = this.#stroke;
    points.push(point);
    // Only what is new: a long line is not drawn again with every move.
    draw(this.canvas.getContext("2d"), { tool, points: points.slice(-3) });
  }

  #listen() {
    const place = ({ clientX, clientY }) => {
      const { left, top, width, height } = this.canvas.getBoundingClientRect();
      return [(SIDE * (clientX - left)) / width, (SIDE * (clientY - top)) / height];
    };
    let finger = null;
    this.canvas.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || finger !== null) return;
      finger = event.pointerId;
      this.canvas.setPointerCapture(finger);
      this.mark.hidden = true;
      // The other end of some pens, and the other button of theirs, erase.
      this.#begin(event.buttons & 32 ? "eraser" : this.tool.value, place(event));
    });
    this.canvas.addEventListener("pointermove", (event) => {
      if (event.pointerId !== finger) return;
      const moves = event.getCoalescedEvents?.() ?? [];
      for (const move of moves.length ? moves : [event]) this.#add(place(move));
    });
    for (const end of ["pointerup", "pointercancel"])
      this.canvas.addEventListener(end, (event) => {
        if (event.pointerId !== finger) return;
        finger = null;
        this.#stroke = null;
      });
    this.element.addEventListener("close", () => (this.#stroke = finger = null));
  }

  // Arrows move the pen, and draw while it is down, which space changes.
  #key(event) {
    const by = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const way = by[event.key];
    if (event.key === "z" && (event.ctrlKey || event.metaKey)) this.undo.click();
    else if (event.ctrlKey || event.metaKey || event.altKey) return;
    else if (way) {
      const step = event.shiftKey ? STEP / 4 : STEP;
      const moved = (at, axis) => Math.min(SIDE, Math.max(0, at + step * way[axis]));
      this.#pen = this.#pen.map(moved);
      if (this.#stroke) this.#add(this.#pen);
    } else if (event.key === " ") {
      if (this.#stroke) this.#stroke = null;
      else this.#begin(this.tool.value, this.#pen);
    } else if (event.key === "Enter") this.done.click();
    else return;
    event.preventDefault();
    const [x, y] = this.#pen.map((at) => `${(100 * at) / SIDE}%`);
    Object.assign(this.mark.style, { left: x, top: y });
    this.mark.hidden = false;
    this.mark.classList.toggle("down", Boolean(this.#stroke));
  }

  #give() {
    this.#stroke = null;
    this.canvas.toBlob((blob) => {
      this.element.close();
      this.onfile(new File([blob], "drawing.png", { type: "image/png" }));
    }, "image/png");
  }
}

/** Draw a line through points, round at its ends and its corners. */
function draw(context, { tool, points }) {
  const [[x, y], ...rest] = points;
  context.strokeStyle = tool === "eraser" ? "white" : "black";
  context.lineWidth = WIDTHS[tool];
  context.lineCap = context.lineJoin = "round";
  context.beginPath();
  context.moveTo(x, y);
  // Browsers leave out a line without any length, which is to be a dot.
  for (const point of rest.length ? rest : [[x + 0.1, y]]) context.lineTo(...point);
  context.stroke();
}
