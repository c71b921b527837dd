// Saving a probe's pictures over time as an animation, which the server makes.

import { address, el, runPath, say } from "./dom.js";
import { t } from "./words.js";

const FRAMES = 120; // as the server has it

/** `chosen()` says which run, probe and rows. */
export class TimeLapse {
  constructor(chosen) {
    this.chosen = chosen;
    this.words = el("p", {});
    this.status = el("p", { role: "status", hidden: true });
    const save = (kind, word) => {
      const onclick = () => this.#save(kind);
      return el("button", { type: "button", onclick }, el("b", {}, kind), ` ${word}`);
    };
    this.buttons = [save("WebP", t("training.lapse_webp")), save("GIF", t("training.lapse_gif"))];
    this.panel = el("div", { class: "panel" }, this.words, this.buttons, this.status);
    this.element = el(
      "details",
      { class: "menu", ontoggle: () => this.#describe() },
      el("summary", {}, t("training.lapse")),
      this.panel,
    );
    document.addEventListener("click", (event) => {
      if (!this.element.contains(event.target)) this.element.open = false;
    });
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.element.open = false;
    });
  }

  #describe() {
    if (!this.element.open) return;
    const { run, probe, words } = this.chosen();
    const all = run.samples.length;
    const frames = Math.min(FRAMES, all);
    const key = frames < all ? "training.lapse_what_of" : "training.lapse_what";
    say(this.words, t(key, { n: probe + 1, direction: words, frames, all }));
    say(this.status, "");
  }

  async #save(kind) {
    const { run, probe, rows } = this.chosen();
    for (const button of this.buttons) button.disabled = true;
    say(this.status, t("training.lapse_making"));
    try {
      const path = `${runPath(run.name)}/timelapse/${probe}.${kind.toLowerCase()}?rows=${rows}`;
      const answer = await fetch(address(path));
      if (!answer.ok) {
        const { error } = await answer.json().catch(() => ({}));
        throw new Error(error ?? t("training.lapse_failed"));
      }
      const [, file] = /filename\*=UTF-8''(.*)$/.exec(answer.headers.get("Content-Disposition"));
      const name = decodeURIComponent(file);
      const href = URL.createObjectURL(await answer.blob());
      el("a", { href, download: name }).click();
      setTimeout(() => URL.revokeObjectURL(href), 60_000);
      say(this.status, t("training.lapse_saved", { name }));
    } catch (error) {
      say(this.status, error.message);
    }
    for (const button of this.buttons) button.disabled = false;
  }
}
