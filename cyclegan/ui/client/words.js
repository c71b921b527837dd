// The page's texts in its language, which the server has put into <html lang>; see ui/words.py.

/** "en" or "zh-CN"; for Intl as well. */
export const language = document.documentElement.lang === "zh-CN" ? "zh-CN" : "en";

let texts = {};
let asked = null;

/** Fetches the texts, once a page, and gives `t`. */
export async function loadWords() {
  asked ??= fetchTexts();
  await asked;
  return t;
}

/**
 * A text with its {places} filled; numbers get their separators. Of "one|many", the form for
 * `values.n`. What is not known, or not yet, is called by its key.
 */
export function t(key, values = {}) {
  const [one, many = one] = (texts[key] ?? key).split("|");
  return (values.n === 1 ? one : many).replace(/\{(\w+)\}/g, (place, name) => {
    const value = values[name] ?? place;
    return typeof value === "number" ? value.toLocaleString(language) : value;
  });
}

async function fetchTexts() {
  try {
    const answer = await fetch(new URL(`words/${language}.json`, document.baseURI));
    if (!answer.ok) throw new Error(answer.statusText);
    texts = await answer.json();
  } catch {
    // Keys are better than nothing; whoever asks next tries again.
    asked = null;
  }
}
