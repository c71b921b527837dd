// For models that answer a picture: the picture, and a reference for the style of the answers.

import { percent } from "../dom.js";
import { t } from "../words.js";
import { Door, limitWords, Refused, upload } from "../studio/door.js";
import { Examples } from "../studio/examples.js";
import { el, symbol } from "../studio/parts.js";
import { Sketch } from "../studio/sketch.js";

/** `onphoto(path)` and `onstyle(path)` get what was uploaded; `onsay(kind, words)` hears how the
 * upload is going.
 */
export class Source {
  #sending = null;

  constructor(element, { onphoto, onstyle, onsay }) {
    this.onsay = onsay;
    const take = (file) => this.#send(file, onphoto);
    this.sketch = new Sketch(take, "generate-tool");
    this.door = new Door(element, this.sketch, take);
    this.examples = new Examples((example) => this.#fetch(example, take), "generate-examples");
    this.image = el("img", { alt: "" });
    this.model = el("img", { alt: "" });
    this.reference = figure(this.model, t("generate.reference"));
    this.reference.hidden = true;
    this.input = el("input", {
      type: "file",
      accept: "image/*",
      hidden: true,
      onchange: () => {
        const [file] = this.input.files;
        this.input.value = "";
        if (file) this.#refer(file, onstyle);
      },
    });
    const button = (id, onclick) =>
      el("button", { type: "button", id, onclick }, symbol("plus"), "");
    this.another = button("another", () => this.door.choose());
    this.style = button("style", () => this.input.click());
    this.element = el(
      "div",
      { class: "source", hidden: true },
      figure(this.image, t("generate.input")),
      this.reference,
      el("div", { class: "actions" }, this.sketch.opener(), this.another, this.style),
      this.input,
    );
  }

  /** Show what the network is given; `url` is null before there is anything. */
  show({ labels, drawn }, url) {
    this.door.draw(drawn);
    // Of photos, nobody knows which ones such a model would take.
    this.examples.offer(drawn);
    if (!drawn || url) this.examples.element.hidden = true;
    this.another.lastChild.textContent = t("generate.another", { label: labels.a });
    this.style.lastChild.textContent = t("generate.style", { label: labels.b });
    this.element.hidden = !url;
    if (!url) this.forget();
    if (url && this.image.src !== url) this.image.src = url;
  }

  /** Whether the model can tell the style of a reference. */
  encodes(can) {
    this.style.hidden = !can;
  }

  /** No answer is in the style of the reference any more. */
  forget() {
    this.reference.hidden = true;
  }

  async #fetch({ name, url }, take) {
    const answer = await fetch(url).catch(() => null);
    if (answer?.ok) take(new File([await answer.blob()], name));
  }

  #refer(file, onstyle) {
    this.#send(file, (path) => {
      URL.revokeObjectURL(this.model.src);
      this.model.src = URL.createObjectURL(file);
      this.reference.hidden = false;
      onstyle(path);
    });
  }

  async #send(file, onpath) {
    this.#sending?.abort();
    const sending = (this.#sending = new AbortController());
    this.onsay("working", t("translate.sending", { share: "0%" }));
    try {
      const path = await upload(file, sending.signal, (share) => {
        if (sending === this.#sending)
          this.onsay("working", t("translate.sending", { share: percent(share) }));
      });
      // The folder above is the same for all, and nobody's business.
      if (sending === this.#sending) onpath(path.split(/[\\/]/).slice(-2).join("/"));
    } catch (error) {
      if (sending !== this.#sending) return;
      if (!(error instanceof Refused)) throw error;
      this.onsay("failed", t(`translate.${error.message}`, { name: file.name, limit: limitWords() }));
    }
  }
}

const figure = (image, words) => el("figure", {}, image, el("figcaption", {}, words));
