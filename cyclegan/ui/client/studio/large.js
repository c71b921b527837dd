// A picture over the whole window, to be looked at closely; arrow keys turn to the next.

import { t } from "../words.js";
import { el, symbol } from "./parts.js";
import { Frame } from "./slider.js";

const ORDER = ["real", "fake", "recovered"];

export class Large {
  #scene = {};
  #names = {};
  #which = "real";

  constructor() {
    this.frame = new Frame("large");
    this.title = el("strong", { role: "status" });
    const button = (name, words, onclick) =>
      el("button", { type: "button", "aria-label": words, title: words, onclick }, symbol(name));
    this.zoom = el("button", { type: "button", "aria-pressed": "false" }, "100%");
    this.zoom.setAttribute("aria-label", t("translate.zoom"));
    this.zoom.addEventListener("click", () => this.#zoom());
    this.bar = el(
      "header",
      {},
      button("left", t("translate.previous"), () => this.#turn(-1)),
      this.title,
      button("right", t("translate.next"), () => this.#turn(1)),
      this.zoom,
      button("close", t("translate.close"), () => this.element.close()),
    );
    this.scroller = el("div", { class: "scroller" }, this.frame.element);
    this.element = el(
      "dialog",
      { class: "large", "aria-label": t("translate.large") },
      this.bar,
      this.scroller,
    );
    this.element.addEventListener("keydown", (event) => this.#key(event));
    this.#listen();
  }

  set(scene, names) {
    this.#scene = scene;
    this.#names = names;
    if (this.element.open) this.#show();
  }

  open(which) {
    this.#which = which;
    this.#zoom(false);
    this.element.showModal();
    this.#show();
  }

  #show() {
    const url = this.#scene[this.#which];
    if (!url) return this.element.close();
    this.frame.set(url, this.#which === "fake" ? this.#scene.real : null, this.#names[this.#which]);
    this.frame.wait("");
    this.title.textContent = this.#names[this.#which];
  }

  #turn(by) {
    const there = ORDER.filter((which) => this.#scene[which]);
    const at = there.indexOf(this.#which) + by + there.length;
    this.#which = there[at % there.length];
    this.#show();
  }

  /** Between the whole picture and its own pixels, around the point that was clicked. */
  #zoom(close = !this.element.classList.contains("close"), x = 0.5, y = 0.5) {
    this.element.classList.toggle("close", close);
    this.zoom.setAttribute("aria-pressed", close);
    const { picture } = this.frame;
    this.element.style.setProperty("--pixels", `${picture.naturalWidth / devicePixelRatio}px`);
    const { scrollWidth, clientWidth, scrollHeight, clientHeight } = this.scroller;
    this.scroller.scrollTo(x * (scrollWidth - clientWidth), y * (scrollHeight - clientHeight));
  }

  #key(event) {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (by && !this.element.classList.contains("close")) this.#turn(by);
    else if (event.key === "z") this.#zoom();
    else return;
    event.preventDefault();
  }

  // A click zooms; a swipe turns; close up, fingers and wheel scroll as everywhere.
  #listen() {
    let from = null;
    this.scroller.addEventListener("pointerdown", (event) => (from = event));
    this.scroller.addEventListener("pointerup", (event) => {
      if (!from) return;
      const far = event.clientX - from.clientX;
      from = null;
      const close = this.element.classList.contains("close");
      if (Math.abs(far) > 60) return close || this.#turn(far > 0 ? -1 : 1);
      if (Math.abs(far) > 8) return;
      const { left, top, width, height } = this.frame.element.getBoundingClientRect();
      this.#zoom(!close, (event.clientX - left) / width, (event.clientY - top) / height);
    });
    this.scroller.addEventListener("pointercancel", () => (from = null));
  }
}
