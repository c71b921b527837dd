// A frame that holds a picture, or its translation over it; and two of them with a line between.

import { t } from "../words.js";
import { el } from "./parts.js";

/** A picture in the shape of the stage. A translation lies over its photo, as strong as asked. */
export class Frame {
  constructor(name) {
    this.name = name;
    // Not every browser can show every picture that the server can read, such as TIFF.
    const onerror = () => (this.picture.hidden = true);
    const drawn = { alt: "", draggable: "false", hidden: true };
    this.below = el("img", { class: "below", ...drawn });
    this.picture = el("img", { class: "picture", ...drawn, onerror });
    this.waiting = el("span", { class: "waiting" });
    this.element = el("span", { class: "frame" }, this.below, this.picture, this.waiting);
  }

  set(url, below, alt) {
    put(this.picture, url, alt);
    put(this.below, url ? below : null, "");
    this.picture.classList.toggle("blended", Boolean(below));
  }

  wait(words) {
    this.waiting.textContent = words;
    this.waiting.hidden = !words;
    if (this.button) this.button.disabled = this.picture.hidden;
  }
}

export class SliderView {
  #at = 50; // percent of the width

  constructor() {
    this.frame = new Frame("slider");
    this.before = el("span", { class: "tag before" });
    this.after = el("span", { class: "tag after" });
    this.handle = el("span", {
      class: "handle",
      role: "slider",
      tabindex: 0,
      "aria-label": t("translate.divide"),
      "aria-valuemin": 0,
      "aria-valuemax": 100,
      onkeydown: (event) => this.#key(event),
    });
    this.frame.element.append(this.before, this.after, this.handle);
    this.element = el("div", { class: "single comparing" }, this.frame.element);
    this.#listen(this.frame.element);
    this.#move(this.#at);
  }

  set(scene, names, waiting) {
    // Until the translation is there, the whole frame is the photo.
    this.frame.set(scene.fake ?? scene.real, scene.fake ? scene.real : null, names.fake);
    this.frame.wait(waiting);
    this.element.classList.toggle("bare", !scene.fake);
    this.before.textContent = names.real;
    this.after.textContent = names.fake;
  }

  #move(at) {
    this.#at = Math.min(100, Math.max(0, at));
    this.element.style.setProperty("--at", `${this.#at}%`);
    const now = Math.round(this.#at);
    this.handle.setAttribute("aria-valuenow", now);
    const words = t("translate.divided", { share: now });
    this.handle.setAttribute("aria-valuetext", words);
  }

  #key(event) {
    const step = event.shiftKey ? 10 : 2;
    const by = { ArrowLeft: -step, ArrowDown: -step, ArrowRight: step, ArrowUp: step };
    const far = { PageUp: 20, PageDown: -20, Home: -100, End: 100 };
    const move = by[event.key] ?? far[event.key];
    if (move === undefined || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    this.#move(this.#at + move);
  }

  #listen(frame) {
    const follow = ({ clientX }) => {
      const { left, width } = frame.getBoundingClientRect();
      this.#move((100 * (clientX - left)) / width);
    };
    let held = false;
    frame.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || this.element.classList.contains("bare")) return;
      held = true;
      frame.setPointerCapture(event.pointerId);
      follow(event);
      // The keys go on from where the finger left it.
      this.handle.focus({ preventScroll: true, focusVisible: false });
      event.preventDefault();
    });
    frame.addEventListener("pointermove", (event) => held && follow(event));
    for (const end of ["pointerup", "pointercancel"])
      frame.addEventListener(end, () => (held = false));
  }
}

function put(image, url, alt) {
  image.hidden = !url;
  image.alt = url ? alt : "";
  if (!url) image.removeAttribute("src");
  else if (image.getAttribute("src") !== url) image.src = url;
}
