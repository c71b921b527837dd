// What the tab shows as the address of the page, so that a link brings the same pictures back.

export const COUNTS = [12, 24, 48]; // how many pictures a grid may have

export const PLAIN = { model: "", seed: "1", count: 12, near: 0.4, start: "", hold: "", end: "", photo: "" };

/** The state that the page's address asks for; with `mine` whether it is one of this tab. */
export function fromAddress() {
  const query = new URLSearchParams(location.search);
  const mine = query.get("tab") === "generate";
  const state = { ...PLAIN };
  if (!mine) return { state, mine };
  for (const [key, plain] of Object.entries(PLAIN)) {
    const said = query.get(key);
    if (said !== null) state[key] = typeof plain === "number" ? Number(said) : said;
  }
  if (!COUNTS.includes(state.count)) state.count = PLAIN.count;
  if (!(state.near > 0 && state.near <= 1)) state.near = PLAIN.near;
  return { state, mine };
}

/** Have the address ask for a state; null for none, as when another tab is looked at. */
export function toAddress(state) {
  const url = new URL(location.href);
  for (const key of ["tab", ...Object.keys(PLAIN)]) url.searchParams.delete(key);
  if (state) url.searchParams.set("tab", "generate");
  for (const [key, plain] of Object.entries(PLAIN)) {
    // A model and a seed are worth seeing; the rest only where it says something.
    const worth = key === "model" || key === "seed" || state?.[key] !== plain;
    if (state?.[key] && worth) url.searchParams.set(key, state[key]);
  }
  if (url.href !== location.href) history.replaceState(history.state, "", url);
}
