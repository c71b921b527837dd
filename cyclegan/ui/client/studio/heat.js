// Where the way back misses the photo, in colours whose steps look equally large (inferno).

import { percent } from "../dom.js";
import { t } from "../words.js";
import { el, load } from "./parts.js";

const SIDE = 1000; // pixels: longest side of the map
const TOPS = [2, 5, 10, 20, 30, 50, 100]; // percent at which the scale may end
const RARE = 0.995; // share of the pixels that the scale covers
const INFERNO =
  "000004 160b39 420a68 6a176e 932667 bc3754 dd513a f37819 fca50a f6d746 fcffa4".split(" ");

export class HeatView {
  #drawn = "";
  #missed = null; // a byte a pixel: how far it is off

  constructor() {
    this.average = null;
    this.canvas = el("canvas", { role: "img" });
    this.here = el("output", {});
    this.scale = el("div", { class: "scale" });
    this.scale.style.background = `linear-gradient(90deg, #${INFERNO.join(", #")})`;
    this.ticks = el("div", { class: "ticks" });
    this.words = el("p", {});
    this.empty = el("p", { class: "waiting" }, t("translate.cycle_later"));
    this.element = el(
      "div",
      { class: "single" },
      el("span", { class: "frame" }, this.canvas, this.empty),
      el(
        "div",
        { class: "legend" },
        el("div", { class: "key", "aria-hidden": "true" }, this.scale, this.ticks),
        this.words,
        this.here,
      ),
    );
    this.canvas.addEventListener("pointermove", (event) => this.#point(event));
    this.canvas.addEventListener("pointerdown", (event) => this.#point(event));
    this.canvas.addEventListener("pointerleave", () => (this.here.textContent = ""));
  }

  async draw({ real, recovered }) {
    const key = `${real} ${recovered}`;
    if (key === this.#drawn) return;
    this.#drawn = key;
    this.canvas.hidden = true;
    this.element.classList.toggle("bare", !recovered);
    this.empty.hidden = Boolean(recovered);
    if (!recovered) return;
    const images = await Promise.all([load(real), load(recovered)]);
    if (key !== this.#drawn || images.includes(null)) return;
    this.#paint(...images);
  }

  #paint(photo, back) {
    const scale = Math.min(1, SIDE / Math.max(photo.naturalWidth, photo.naturalHeight));
    const width = Math.max(1, Math.round(photo.naturalWidth * scale));
    const height = Math.max(1, Math.round(photo.naturalHeight * scale));
    const [before, after] = [photo, back].map((image) => pixels(image, width, height));
    this.#missed = new Uint8Array(width * height);
    const counts = new Uint32Array(256);
    for (let at = 0; at < this.#missed.length; at++) {
      const off = (band) => Math.abs(before[4 * at + band] - after[4 * at + band]);
      counts[(this.#missed[at] = Math.round((off(0) + off(1) + off(2)) / 3))]++;
    }
    const top = TOPS.find((share) => covered(counts, (255 * share) / 100) >= RARE);
    this.canvas.width = width;
    this.canvas.height = height;
    const drawn = new ImageData(width, height);
    const colours = palette((255 * top) / 100);
    const words = new Uint32Array(drawn.data.buffer);
    for (let at = 0; at < words.length; at++) words[at] = colours[this.#missed[at]];
    this.canvas.getContext("2d").putImageData(drawn, 0, 0);
    this.canvas.hidden = false;
    this.#say(top);
  }

  #say(top) {
    const share = this.average == null ? "–" : percent(this.average);
    this.words.textContent = t("translate.cycle_words", { share });
    this.canvas.setAttribute("aria-label", t("translate.cycle_alt", { share }));
    const figures = [0, top / 2, top].map((figure) => `${figure}%`);
    figures[2] = top < 100 ? `≥ ${figures[2]}` : figures[2];
    this.ticks.replaceChildren(...figures.map((figure) => el("span", {}, figure)));
  }

  #point(event) {
    const { left, top, width, height } = this.canvas.getBoundingClientRect();
    const x = Math.floor(((event.clientX - left) / width) * this.canvas.width);
    const y = Math.floor(((event.clientY - top) / height) * this.canvas.height);
    const missed = this.#missed?.[y * this.canvas.width + x];
    if (missed === undefined) return;
    this.here.textContent = t("translate.here", { share: percent(missed / 255) });
  }
}

function pixels(image, width, height) {
  const context = el("canvas", { width, height }).getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0, width, height);
  return context.getImageData(0, 0, width, height).data;
}

function covered(counts, top) {
  const all = counts.reduce((sum, count) => sum + count);
  return counts.slice(0, Math.floor(top) + 1).reduce((sum, count) => sum + count) / all;
}

/** Colours for 0 … 255, the last one for `top` and beyond, as an ImageData holds them. */
function palette(top) {
  const colours = new Uint8ClampedArray(4 * 256);
  for (let value = 0; value < 256; value++) {
    const at = Math.min(1, value / top) * (INFERNO.length - 1);
    const low = Math.min(INFERNO.length - 2, Math.floor(at));
    for (let band = 0; band < 3; band++) {
      const [from, to] = [low, low + 1].map((stop) =>
        parseInt(INFERNO[stop].slice(2 * band, 2 * band + 2), 16),
      );
      colours[4 * value + band] = from + (to - from) * (at - low);
    }
    colours[4 * value + 3] = 255;
  }
  return new Uint32Array(colours.buffer);
}
