// The picture that is held: seen large, moved by sliders, varied, saved, and one end of a path.

import { say } from "../dom.js";
import { t } from "../words.js";
import { el, load } from "../studio/parts.js";

const REACH = 4; // how far a slider goes to either side; z is drawn from N(0, 1)
const LARGE = 512; // pixels of the longer side of what is saved enlarged, at least

const FILMS = ["webp", "gif"];

/** `onmove(at)` asks for the z to be there along each direction, `onvary()` for variations,
 * `onpath()` for the other end of a path, `onlet()` to hold nothing. */
export class Held {
  #picture = null;
  #saved = null; // the picture that the links are for
  #film = null; // {webp, gif, words}
  #ranges = [];

  constructor({ onmove, onvary, onpath, onlet }) {
    this.onmove = onmove;
    this.title = el("h3", { id: "held-title" });
    this.image = el("img", { class: "whole" });
    const button = (words, attributes) => el("button", { type: "button", ...attributes }, words);
    this.vary = button(t("generate.vary"), { id: "vary", class: "first", onclick: onvary });
    this.path = button(t("generate.path"), { id: "path", onclick: onpath, "aria-pressed": "false" });
    this.small = el("a", { download: "", "data-kind": "png" });
    this.enlarged = el("a", { download: "", "data-kind": "large" });
    this.sliders = el("div", { class: "sliders", role: "group", "aria-label": t("generate.sliders") });
    this.caption = el("p", { class: "caption" });
    this.play = button("", { id: "play", onclick: () => this.#play(!this.playing) });
    this.films = FILMS.map((kind) =>
      el("a", { download: `film.${kind}`, "data-kind": kind }, kind === "gif" ? "GIF" : "WebP"),
    );
    this.element = el(
      "section",
      { id: "held", hidden: true, "aria-labelledby": "held-title" },
      el("header", {}, this.title, button(t("generate.let"), { id: "let", class: "quiet", onclick: onlet })),
      this.image,
      this.caption,
      el("div", { class: "actions" }, this.vary, this.path, this.play),
      el("h3", {}, t("generate.sliders")),
      this.sliders,
      el(
        "div",
        { class: "save", role: "group", "aria-label": t("translate.save") },
        el("span", {}, t("translate.save")),
        this.small,
        this.enlarged,
        this.films,
      ),
    );
  }

  /** Show a picture under a name; a slider that is at hand stays where it is. */
  show(picture, name, picking) {
    this.element.hidden = !picture;
    this.#picture = picture;
    if (!picture) return;
    this.title.textContent = name;
    this.path.setAttribute("aria-pressed", picking);
    if (this.#saved !== picture) this.#save(picture, name);
    this.#draw();
    if (this.#ranges.length !== picture.at.length) this.#offer(picture.at.length);
    for (const [at, range] of this.#ranges.entries())
      if (!range.matches(":active, :focus-visible")) set(range, picture.at[at]);
  }

  /** Show a film of the way to another picture, {webp, gif, words}; null for none. */
  screen(film) {
    this.#film = film;
    for (const link of this.films) link.href = film?.[link.dataset.kind] ?? "";
    // Whoever wants no motion starts it by hand.
    this.#play(Boolean(film) && !matchMedia("(prefers-reduced-motion: reduce)").matches);
  }

  #play(playing) {
    this.playing = playing;
    this.#draw();
  }

  #draw() {
    const film = this.#film;
    const source = this.playing ? film.webp : this.#picture?.url;
    if (source && this.image.src !== source) this.image.src = source;
    this.image.alt = film?.words ?? this.title.textContent;
    say(this.caption, film?.words ?? "");
    for (const control of [this.play, ...this.films]) control.hidden = !film;
    this.play.textContent = t(this.playing ? "generate.stop" : "generate.play");
  }

  #offer(count) {
    this.#ranges = Array.from({ length: count }, (_, at) =>
      el("input", {
        type: "range",
        min: -REACH,
        max: REACH,
        step: 0.05,
        oninput: ({ target }) => {
          set(target, Number(target.value));
          // All others stay where they are, also beyond where a slider ends.
          this.onmove(this.#ranges.map((range) => (range === target ? Number(range.value) : null)));
        },
      }),
    );
    this.sliders.replaceChildren(
      ...this.#ranges.map((range, at) =>
        el("label", {}, el("span", {}, t("generate.slider", { n: at + 1 })), range),
      ),
    );
  }

  async #save(picture, name) {
    this.#saved = picture;
    const image = await load(picture.url);
    if (!image || picture !== this.#picture) return;
    const { naturalWidth: width, naturalHeight: height } = image;
    const scale = Math.ceil(LARGE / Math.max(width, height));
    const file = name.replace(/[^\p{L}\p{N}]+/gu, "-");
    this.small.textContent = `PNG ${width} × ${height}`;
    this.small.href = picture.url;
    this.small.download = `${file}.png`;
    this.enlarged.hidden = scale < 2;
    this.enlarged.textContent = `PNG ${scale * width} × ${scale * height}`;
    const canvas = el("canvas", { width: scale * width, height: scale * height });
    const context = canvas.getContext("2d");
    context.imageSmoothingEnabled = false;
    context.drawImage(image, 0, 0, canvas.width, canvas.height);
    this.enlarged.href = canvas.toDataURL();
    this.enlarged.download = `${file}-${scale}x.png`;
  }
}

function set(range, value) {
  range.value = value;
  range.setAttribute("aria-valuetext", value.toFixed(1));
  range.style.setProperty("--filled", (Number(range.value) + REACH) / (2 * REACH));
}
