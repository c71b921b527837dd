// Pictures to try it out with.

import { t } from "../words.js";
import { address, el } from "./parts.js";

/** A row of the pictures that ship; `onpick({name, url})`. */
export function examples(onpick) {
  const list = el("ul", { class: "strip" });
  const element = el(
    "section",
    { id: "examples", hidden: true },
    el("h3", {}, t("translate.examples")),
    list,
  );
  fetch(address("studio/examples.json"))
    .then((answer) => answer.json())
    .then(({ examples }) => {
      element.hidden = examples.length === 0;
      list.replaceChildren(
        ...examples.map((name) => {
          const url = address(`studio/examples/${encodeURIComponent(name)}`);
          const words = name.replace(/[-_]/g, " ").replace(/\.\w+$/, "");
          const label = t("translate.example", { name: words });
          const onclick = () => onpick({ name, url });
          const image = el("img", { src: url, alt: "" });
          return el(
            "li",
            {},
            el("button", { type: "button", "aria-label": label, title: words, onclick }, image),
          );
        }),
      );
    })
    .catch(() => {});
  return element;
}
