// What the files of the studio share: elements, icons, addresses, groups of choices.

import { el, icon } from "../dom.js";
import { t } from "../words.js";

export { el };

/** Address on the server, relative to where the page is. */
export const address = (path) => new URL(path, document.baseURI).href;
const folder = (facts) => `studio/results/${encodeURIComponent(facts.token)}`;
export const preview = (facts, which) => address(`${folder(facts)}/${which}.webp`);
export const download = (facts, which, query) =>
  address(`${folder(facts)}/download/${which}?${new URLSearchParams(query)}`);

/** Have the page take stylesheets of this folder, given without their ending. */
export const stylesheets = (names) =>
  Promise.all(
    names.map((name) => {
      const href = address(`training/client/studio/${name}.css`);
      const link = el("link", { rel: "stylesheet", href });
      document.head.append(link);
      return new Promise((resolve) => (link.onload = link.onerror = resolve));
    }),
  );

const ICONS = {
  plus: "M12 5v14M5 12h14",
  camera: "M4 8h3l2-3h6l2 3h3v11H4zM12 10a3.5 3.5 0 1 0 0 7 3.5 3.5 0 0 0 0-7",
  pen: "M4 20l1-4L16 5l3 3L8 19zM14 7l3 3",
  eraser: "M9 19l-5-5L14 4l6 6-9 9zM8 10l6 6M9 19h11",
  undo: "M9 5L4 10l5 5M4 10h10a5 5 0 0 1 0 10h-3",
  clear: "M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13",
  picture: "M4 5h16v14H4zM4 16l5-5 4 4 3-3 4 4M15.5 9.5h.01",
  large: "M4 9V4h5M15 4h5v5M20 15v5h-5M9 20H4v-5",
  close: "M6 6l12 12M18 6L6 18",
  left: "M14 6l-6 6 6 6",
  right: "M10 6l6 6-6 6",
  panels: "M3 6h5v12H3zM9.5 6h5v12h-5zM16 6h5v12h-5z",
  slider: "M3 5h18v14H3zM12 3v18M9 12H6M15 12h3",
  difference: "M12 7v6M9 10h6M9 17h6M4 3h16v18H4z",
  cycle: "M5 13a7 7 0 0 1 12.5-5M18 4v4h-4M19 11a7 7 0 0 1-12.5 5M6 20v-4h4",
};
export const symbol = (name) => icon(ICONS[name]);

/** One choice of several as radio buttons: native keys, one tab stop. `onchange(value)`. */
export class Choice {
  constructor(id, label, onchange) {
    this.id = id;
    this.onchange = onchange;
    this.element = el("div", {
      id,
      class: "segments",
      role: "radiogroup",
      "aria-label": label,
      onchange: ({ target }) => {
        this.set(target.value);
        onchange(target.value);
      },
    });
  }

  /** Offer `options`, [value, text, icon, hint] each; hidden where there is nothing to choose. */
  offer(options, value) {
    const shape = JSON.stringify(options);
    if (shape !== this.shape) {
      this.shape = shape;
      this.element.replaceChildren(...options.map((option) => this.#option(...option)));
    }
    this.element.hidden = options.length === 0;
    this.set(value);
  }

  get value() {
    return this.element.querySelector("input:checked")?.value ?? null;
  }

  set(value) {
    for (const input of this.element.querySelectorAll("input")) {
      input.checked = input.value === value;
      input.parentElement.classList.toggle("selected", input.checked);
    }
  }

  #option(value, text, image, hint) {
    const input = el("input", { type: "radio", name: this.id, value });
    return el("label", { title: hint }, input, image && symbol(image), el("span", {}, text));
  }
}

/** Say a label with its article: "an apple", "apples"; languages without articles do without. */
export function article(label, language) {
  if (language !== "en" || /s$/i.test(label) || !/^[a-z]/.test(label)) return label;
  return `${/^[aeiou]/i.test(label) ? "an" : "a"} ${label}`;
}

/** Have a list hold these items in this order, without touching those that stay. */
export function arrange(list, items) {
  for (const item of [...list.children]) if (!items.includes(item)) item.remove();
  for (const [at, item] of items.entries())
    if (list.children[at] !== item) list.insertBefore(item, list.children[at] ?? null);
}

/** A span of time: "<0.1 s", "0.7 s", "12 s", "3 min". */
export function span(seconds) {
  const tenths = seconds < 9.95 && !Number.isInteger(seconds);
  if (tenths) return t("training.seconds", { n: seconds < 0.05 ? "<0.1" : seconds.toFixed(1) });
  if (seconds < 90) return t("training.seconds", { n: Math.round(seconds) });
  return t("training.minutes", { n: Math.round(seconds / 60) });
}

/** Load a picture to draw it; gives the element, or null when it cannot be had. */
export async function load(url) {
  const image = new Image();
  image.src = url;
  return image.decode().then(
    () => image,
    () => null,
  );
}
