// Labels that gradio has in English only, for those who have the page read to them.

import { language, loadWords, t } from "./words.js";

const LABELS = {
  Close: "page.close",
  "Click to upload or drop files": "page.upload",
  "Gradio footer navigation": "page.footer",
  "More tabs": "page.more_tabs",
  "Paste from clipboard": "page.paste",
  "Remove this file": "page.remove",
  "Upload file": "page.upload",
};

/** Put the language's words in their place, now and whenever gradio draws something. */
export async function relabel() {
  if (language === "en") return;
  await loadWords();
  const look = () => {
    for (const element of document.querySelectorAll("[aria-label]")) {
      const key = LABELS[element.getAttribute("aria-label")];
      if (key) element.setAttribute("aria-label", t(key));
    }
  };
  let due = 0;
  // However much is drawn, once a frame is enough.
  const soon = () => (due ||= requestAnimationFrame(() => ((due = 0), look())));
  new MutationObserver(soon).observe(document.body, { childList: true, subtree: true });
  look();
}
