// Saving a result: links to files that the server makes on demand, at the photo's own pixels.

import { t } from "../words.js";
import { download, el } from "./parts.js";

const KINDS = [
  ["png", "fake", "png"],
  ["webp", "fake", "webp"],
  ["sheet", "sheet", "png"],
  ["clip", "clip", "webp"],
];
const WEBP = 16383; // pixels: the longest side that WebP knows

export class Save {
  #facts = null;
  #strength = 1;

  constructor() {
    this.links = KINDS.map(([kind]) =>
      el(
        "a",
        { download: "", "data-kind": kind, title: t(`translate.save_${kind}_hint`) },
        t(`translate.save_${kind}`),
      ),
    );
    this.element = el(
      "div",
      { id: "save", class: "save", role: "group", "aria-label": t("translate.save"), hidden: true },
      el("span", {}, t("translate.save")),
      this.links,
    );
  }

  /** What is to be saved; null for nothing. */
  set(facts, strength) {
    this.#facts = facts;
    this.#strength = strength;
    this.element.hidden = !facts;
    if (!facts) return;
    for (const [at, [kind, which, format]] of KINDS.entries()) {
      const query = { format, strength: this.#strength };
      this.links[at].href = download(this.#facts, which, query);
      this.links[at].hidden = kind === "webp" && Math.max(facts.width, facts.height) > WEBP;
    }
  }
}
