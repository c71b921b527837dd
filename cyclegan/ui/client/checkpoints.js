// The kept checkpoints of a run, each with a way to the Translate tab.

import { count, el, short } from "./dom.js";

/** `ontry(step)`: somebody wants to try a checkpoint, or with null the newest weights. */
export class Checkpoints {
  #shown = "";

  constructor(ontry) {
    this.ontry = ontry;
    this.items = el("ul", {});
    this.element = el(
      "section",
      { class: "checkpoints", "aria-label": "Checkpoints" },
      el("h3", {}, "Checkpoints"),
      this.items,
    );
  }

  show(run) {
    const steps = [...run.checkpoints].reverse();
    const shown = JSON.stringify([run.name, steps, run.best, run.local]);
    if (shown === this.#shown) return;
    this.#shown = shown;
    const attempt = (step, ...words) => {
      const label = `Try this checkpoint: ${step === null ? "the newest" : `step ${count(step)}`}`;
      const listen = { "aria-label": label, onclick: () => this.ontry(step) };
      const button = el("button", { type: "button", ...listen }, "Try this checkpoint");
      return el("li", {}, el("span", {}, ...words), button);
    };
    const items = steps.map((step) => {
      const best = run.best?.step === step;
      const measured =
        best && [run.best.metric, run.best.value == null ? "" : short(run.best.value)].join(" ");
      return attempt(
        step,
        el("b", {}, `Step ${count(step)}`),
        best && el("em", {}, `★ best ${measured}`),
      );
    });
    // From the Hub there are no checkpoints, but weights.
    if (steps.length || !run.local) {
      items.unshift(attempt(null, el("b", {}, "Now"), el("small", {}, "newest averaged weights")));
    }
    this.items.replaceChildren(...items);
    this.element.hidden = !items.length;
  }
}
