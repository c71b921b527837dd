// Saving a probe's pictures over time as an animation, which the server makes.

import { address, count, el, runPath, say } from "./dom.js";

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
    this.buttons = [save("WebP", "small, all colours"), save("GIF", "plays everywhere")];
    this.panel = el("div", { class: "panel" }, this.words, this.buttons, this.status);
    this.element = el(
      "details",
      { class: "menu", ontoggle: () => this.#describe() },
      el("summary", {}, "Time-lapse"),
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
    const frames = Math.min(FRAMES, run.samples.length);
    const of = frames < run.samples.length ? ` of ${count(run.samples.length)}` : "";
    const direction = words === "Both" ? "both directions" : words;
    say(this.words, `Picture ${probe + 1}, ${direction}, ${frames}${of} samples.`);
    say(this.status, "");
  }

  async #save(kind) {
    const { run, probe, rows } = this.chosen();
    for (const button of this.buttons) button.disabled = true;
    say(this.status, "Making it …");
    try {
      const path = `${runPath(run.name)}/timelapse/${probe}.${kind.toLowerCase()}?rows=${rows}`;
      const answer = await fetch(address(path));
      if (!answer.ok) {
        const { error } = await answer.json().catch(() => ({}));
        throw new Error(error ?? "It could not be made.");
      }
      const [, file] = /filename\*=UTF-8''(.*)$/.exec(answer.headers.get("Content-Disposition"));
      const name = decodeURIComponent(file);
      const href = URL.createObjectURL(await answer.blob());
      el("a", { href, download: name }).click();
      setTimeout(() => URL.revokeObjectURL(href), 60_000);
      say(this.status, `Saved ${name}`);
    } catch (error) {
      say(this.status, error.message);
    }
    for (const button of this.buttons) button.disabled = false;
  }
}
