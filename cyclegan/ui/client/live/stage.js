// The picture: the camera's on the left of a line, its translation on the right.

import { el } from "../dom.js";

export class Stage {
  #photo = canvas();
  #change = null; // what the network changed, at the photo's size: Int16Array like its pixels
  #strength = 1;

  constructor(t) {
    this.canvas = el("canvas", { role: "img", "aria-label": t("live.picture"), hidden: true });
    this.split = el("input", {
      type: "range",
      min: 0,
      max: 100,
      value: 50,
      "aria-label": t("live.split"),
      oninput: () => this.#place(),
    });
    this.element = el(
      "div",
      { class: "picture", "data-empty": true },
      this.canvas,
      el("p", { class: "invitation" }, t("live.invitation")),
      el("i", { class: "line", "aria-hidden": "true" }),
      this.split,
      el("span", { class: "tag before", "aria-hidden": "true" }, t("live.camera")),
      el("span", { class: "tag after", "aria-hidden": "true" }, t("live.translation")),
    );
    this.#place();
  }

  /** Show a translation of `small`, carried over to `large`, which is the same picture. */
  draw({ large, small }, translation) {
    const { width, height } = large;
    const photo = sized(this.#photo, width, height);
    photo.drawImage(large, 0, 0);
    // What the network changed is added to the sharp picture, as the server does with photos.
    const before = stretched(small, width, height);
    const after = stretched(translation, width, height);
    translation.close();
    if (this.#change?.length !== before.length) this.#change = new Int16Array(before.length);
    for (let i = 0; i < before.length; i++) this.#change[i] = after[i] - before[i];
    this.canvas.hidden = false;
    delete this.element.dataset.empty;
    this.#paint();
  }

  /** Mix photo and translation, from 0 to 1. */
  blend(strength) {
    this.#strength = strength;
    if (this.#change) this.#paint();
  }

  #paint() {
    const { width, height } = this.#photo;
    const picture = this.#photo.getContext("2d").getImageData(0, 0, width, height);
    const line = Math.round((width * this.split.value) / 100);
    for (let y = 0; y < height; y++) {
      // An array of bytes clips what is too dark or too bright by itself.
      for (let i = 4 * (y * width + line), end = 4 * (y + 1) * width; i < end; i++)
        picture.data[i] += this.#strength * this.#change[i];
    }
    sized(this.canvas, width, height).putImageData(picture, 0, 0);
  }

  #place() {
    this.element.style.setProperty("--at", this.split.value / 100);
    if (this.#change) this.#paint();
  }
}

function stretched(source, width, height) {
  const context = sized(canvas(), width, height);
  context.imageSmoothingQuality = "high";
  context.drawImage(source, 0, 0, width, height);
  return context.getImageData(0, 0, width, height).data;
}

/** The context of a canvas of that size, whose pixels stay where they can be read at once. */
function sized(target, width, height) {
  if (target.width !== width || target.height !== height) Object.assign(target, { width, height });
  return target.getContext("2d", { willReadFrequently: true });
}

function canvas() {
  return document.createElement("canvas");
}
