// How a picture comes in: chosen, dropped anywhere on the tab, pasted, taken, or an example.

import { Camera } from "./camera.js";
import { t } from "../words.js";
import { address, el, symbol } from "./parts.js";

// Spelled out, so that a phone hands over its HEIC photos as JPEG.
const TYPES = ["jpeg", "png", "webp", "gif", "bmp", "tiff", "avif"];
const TYPED = "textarea, [contenteditable], input:not([type=radio], [type=checkbox], [type=range])";
const LIMIT = globalThis.gradio_config?.max_file_size ?? Infinity; // bytes

/** `onfile(file, others)` gets the first file of what came in, and how many more there were. */
export class Door {
  constructor(element, sketch, onfile) {
    this.onfile = onfile;
    this.sketch = sketch;
    this.input = el("input", {
      type: "file",
      accept: TYPES.map((type) => `image/${type}`).join(),
      hidden: true,
      onchange: () => {
        this.#take(this.input.files);
        // Choosing the same file once more is a change again.
        this.input.value = "";
      },
    });
    this.camera = new Camera((file) => onfile(file, 0));
    this.first = el(
      "button",
      { type: "button", class: "first", onclick: () => this.choose() },
      symbol("plus"),
      t("translate.choose"),
    );
    // Nothing is dropped with a finger.
    const fingers = matchMedia("(pointer: coarse)").matches;
    this.invitation = t(fingers ? "translate.invitation_touch" : "translate.invitation");
    this.words = el("p", { class: "invitation" });
    const ways = [sketch.opener("first"), this.first, this.shutter(t("translate.take"))];
    const hint = el("p", { class: "hint" }, t("translate.invitation_hint"));
    this.element = el(
      "div",
      { class: "door", onclick: (event) => event.target.closest("button") ?? this.choose() },
      symbol("picture"),
      this.words,
      el("div", { class: "ways" }, ways),
      hint,
    );
    this.draw(false);
    this.over = el("div", { class: "over", hidden: true }, el("p", {}, t("translate.drop")));
    element.append(this.input, this.over, this.camera.element, sketch.element);
    this.#listen(element);
  }

  /** Offer the sheet to draw on, before anything else, or not. */
  draw(drawn) {
    this.sketch.offer(drawn);
    this.first.classList.toggle("first", !drawn);
    this.words.textContent = drawn ? t("translate.invitation_drawn") : this.invitation;
  }

  choose() {
    this.input.click();
  }

  /** A button that opens the camera, with an icon for its words if need be. */
  shutter(words = "") {
    const name = { "aria-label": t("translate.take"), title: words ? null : t("translate.take") };
    const hidden = !Camera.possible();
    const onclick = () => this.camera.open();
    return el("button", { type: "button", ...name, hidden, onclick }, symbol("camera"), words);
  }

  // All over the window: a picture dropped beside the mark would replace the page.
  #listen(element) {
    const open = () => element.getClientRects().length > 0;
    const carried = (event) => open() && event.dataTransfer?.types.includes("Files");
    let depth = 0;
    const show = (by) => {
      depth = by ? Math.max(0, depth + by) : 0;
      this.over.hidden = depth === 0;
    };
    addEventListener("dragenter", (event) => carried(event) && show(1));
    addEventListener("dragleave", (event) => carried(event) && show(-1));
    addEventListener("dragover", (event) => carried(event) && event.preventDefault());
    addEventListener("drop", (event) => {
      if (!carried(event)) return;
      event.preventDefault();
      show(0);
      this.#take(event.dataTransfer.files);
    });
    addEventListener("paste", (event) => {
      if (!open() || event.target.closest?.(TYPED)) return;
      if (event.clipboardData.files.length) event.preventDefault();
      this.#take(event.clipboardData.files);
    });
  }

  #take(files) {
    if (files.length) this.onfile(files[0], files.length - 1);
  }
}

/** The server would not take a file; the message says which of two reasons it was. */
export class Refused extends Error {}

/** Upload a file; gives its path on the server. `onprogress(share)` says how far it has come. */
export function upload(file, signal, onprogress) {
  if (file.size > LIMIT) return Promise.reject(new Refused("too_large"));
  return new Promise((resolve, reject) => {
    // fetch does not tell how much has been sent, which on a phone is what one waits for.
    const request = new XMLHttpRequest();
    const body = new FormData();
    body.append("files", file, file.name || "picture");
    request.open("POST", address("gradio_api/upload"));
    request.responseType = "json";
    request.upload.onprogress = ({ loaded, total }) => onprogress(total ? loaded / total : 0);
    request.onload = () => {
      const path = request.status === 200 && request.response?.[0];
      if (path) resolve(path);
      else reject(new Refused(request.status === 413 ? "too_large" : "not_sent"));
    };
    request.onerror = () => reject(new Refused("not_sent"));
    signal.addEventListener("abort", () => request.abort());
    request.send(body);
  });
}

/** "50 MB" */
export const limitWords = () => `${Math.round(LIMIT / 2 ** 20)} MB`;
