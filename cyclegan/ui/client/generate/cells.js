// The grid of pictures, each a button that holds it, and how far from one they all are.

import { percent } from "../dom.js";
import { t } from "../words.js";
import { el } from "../studio/parts.js";

const COLUMNS = { 12: 4, 24: 6, 48: 8 }; // where there is room

/** `onpick(picture)` gets the picture that was clicked, `onnear(share)` how far from one the others
 * should be, and `onback()` is called when they should be drawn freely again. */
export class Grid {
  #shown = []; // pictures, or nulls where one is still to come
  #cells = [];

  constructor({ onpick, onnear, onback }) {
    this.onpick = onpick;
    this.title = el("h3", {});
    this.near = el("input", {
      type: "range",
      id: "near",
      min: 0.05,
      max: 1,
      step: 0.05,
      oninput: () => this.#fill(),
      onchange: () => onnear(Number(this.near.value)),
    });
    const back = { type: "button", id: "back", class: "quiet", onclick: onback };
    this.nearing = el(
      "div",
      { class: "strength" },
      el("label", { for: "near" }, t("generate.near")),
      this.near,
      el("button", back, t("generate.back")),
    );
    this.cells = el("ul", { class: "cells", "aria-label": t("generate.grid") });
    this.element = el("div", { class: "many" }, this.title, this.nearing, this.cells);
  }

  /** Say what the pictures are: variations of one, as `near` to it as that, or drawn from a seed. */
  name(origin, near, seed) {
    this.title.textContent = origin
      ? t("generate.title_near", { name: origin })
      : t("generate.title", { seed });
    this.nearing.hidden = !origin;
    this.near.value = near;
    this.#fill();
  }

  /** Show as many cells as `count`, of which the first hold `pictures`. */
  show(pictures, count, held, working) {
    while (this.#cells.length < count) this.#cells.push(this.#cell(this.#cells.length));
    this.#cells.length = count;
    this.#shown = pictures;
    this.cells.classList.toggle("working", working);
    if (count) this.cells.style.setProperty("--columns", COLUMNS[count] ?? 6);
    if (this.cells.children.length !== count) this.cells.replaceChildren(...this.#cells);
    for (const [at, cell] of this.#cells.entries()) {
      const button = cell.firstChild;
      const picture = pictures[at];
      button.disabled = !picture;
      button.classList.toggle("coming", !picture);
      button.setAttribute("aria-pressed", Boolean(picture) && picture.code === held);
      const image = button.firstChild;
      if (picture && image.src !== picture.url) image.src = picture.url;
      image.hidden = !picture;
      const words = picture ? describe(picture, at) : t("generate.coming", { n: at + 1 });
      button.setAttribute("aria-label", words);
      button.title = words;
    }
  }

  #fill() {
    this.near.setAttribute("aria-valuetext", percent(Number(this.near.value)));
    this.near.style.setProperty("--filled", this.near.value);
  }

  #cell(at) {
    const onclick = () => this.onpick(this.#shown[at]);
    return el("li", {}, el("button", { type: "button", onclick }, el("img", { alt: "" })));
  }
}

/** What a picture is called: by its seed, or by its place among variations. */
export function describe({ code }, at) {
  if (!code.startsWith("~")) return t("generate.of_seed", { seed: code });
  return t("generate.variation", { n: at + 1 });
}
