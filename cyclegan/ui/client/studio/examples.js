// Pictures to try it out with: photos, and drawings for models that know those.

import { t } from "../words.js";
import { address, arrange, el } from "./parts.js";

const isDrawing = (name) => name.startsWith("drawing-");

export class Examples {
  #items = new Map(); // name → element
  #drawn = false; // whether drawings are offered, else photos

  /** A row of the pictures that ship; `onpick({name, url})`. */
  constructor(onpick, id = "examples") {
    this.onpick = onpick;
    this.list = el("ul", { class: "strip" });
    const title = el("h3", {}, t("translate.examples"));
    this.element = el("section", { id, hidden: true }, title, this.list);
    fetch(address("studio/examples.json"))
      .then((answer) => answer.json())
      .then(({ examples }) => {
        this.#items = new Map(examples.map((name) => [name, this.#item(name)]));
        this.offer(this.#drawn);
      })
      .catch(() => {});
  }

  offer(drawn) {
    this.#drawn = drawn;
    const offered = [...this.#items].filter(([name]) => isDrawing(name) === drawn);
    this.element.hidden = offered.length === 0;
    arrange(
      this.list,
      offered.map(([, item]) => item),
    );
  }

  #item(name) {
    const url = address(`studio/examples/${encodeURIComponent(name)}`);
    const title = name.replace(/[-_]/g, " ").replace(/\.\w+$/, "");
    const label = t("translate.example", { name: title });
    const onclick = () => this.onpick({ name, url });
    const attributes = { type: "button", "aria-label": label, title, onclick };
    return el("li", {}, el("button", attributes, el("img", { src: url, alt: "" })));
  }
}
