// What the translation changed: |fake − real|, brighter on request, weaker with the strength.

import { t } from "../words.js";
import { el, load } from "./parts.js";

const GAINS = [8, 4, 2, 1];
const RARE = 0.01; // share of the values that may be too bright to show
const SMALL = 128; // pixels of a side: enough to find out how bright it is

export class DifferenceView {
  #drawn = "";
  #strength = 1;
  #gain = GAINS[1];

  constructor() {
    this.waiting = el("span", { class: "waiting", hidden: true });
    this.words = el("span", {});

    this.canvas = el("canvas", { role: "img", "aria-label": t("translate.difference_alt") });
    this.amplify = el("input", {
      type: "checkbox",
      id: "amplify",
      checked: true,
      onchange: () => this.#brighten(),
    });
    this.element = el(
      "div",
      { class: "single" },
      el("span", { class: "frame" }, this.canvas, this.waiting),
      el(
        "div",
        { class: "legend" },
        el("label", { class: "check" }, this.amplify, this.words),
        el("p", {}, t("translate.difference_words")),
      ),
    );
    this.#brighten();
  }

  set strength(strength) {
    this.#strength = strength;
    this.#brighten();
  }

  wait(words) {
    this.waiting.textContent = words;
    this.waiting.hidden = !words;
    this.element.classList.toggle("bare", Boolean(words));
  }

  /** Draw it at full strength, once a result; the strength is a matter of brightness. */
  async draw({ real, fake }) {
    const key = `${real} ${fake}`;
    if (key === this.#drawn) return;
    this.#drawn = key;
    this.canvas.hidden = true;
    if (!real || !fake) return;
    const [photo, translation] = await Promise.all([load(real), load(fake)]);
    if (key !== this.#drawn || !photo || !translation) return;
    this.canvas.width = photo.naturalWidth;
    this.canvas.height = photo.naturalHeight;
    const context = this.canvas.getContext("2d");
    context.drawImage(photo, 0, 0);
    context.globalCompositeOperation = "difference";
    context.drawImage(translation, 0, 0, photo.naturalWidth, photo.naturalHeight);
    this.#gain = gain(this.canvas);
    this.#brighten();
    this.canvas.hidden = false;
  }

  #brighten() {
    const gain = this.amplify.checked ? this.#gain : 1;
    this.canvas.style.filter = `brightness(${gain * this.#strength})`;
    this.words.textContent = t("translate.amplify", { gain: this.#gain });
    this.amplify.parentElement.hidden = this.#gain === 1;
  }
}

/** How many times brighter a picture can be with nearly nothing too bright to show. */
function gain(canvas) {
  const context = el("canvas", { width: SMALL, height: SMALL }).getContext("2d");
  context.drawImage(canvas, 0, 0, SMALL, SMALL);
  const values = context.getImageData(0, 0, SMALL, SMALL).data.filter((_, at) => at % 4 < 3);
  const bright = values.sort()[Math.floor((1 - RARE) * (values.length - 1))];
  return GAINS.find((times) => times * bright <= 255);
}
