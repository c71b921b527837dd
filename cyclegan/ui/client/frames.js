// The pictures of a probe over time: fetched a step at a time, decoded, and forgotten in time.

import { address, runPath } from "./dom.js";

const BYTES = 24 * 2 ** 20; // of decoded pictures
const AT_ONCE = 4;
const AGAIN = 3; // seconds until something that failed is tried again

/** Keeps the steps that were looked at last. `onready()` is called when one has come. */
export class Frames {
  #frames = new Map(); // step → { bitmaps: {tile: ImageBitmap}, bytes }, the oldest first
  #loading = new Map(); // step → AbortController
  #failed = new Map(); // step → when
  #wanted = [];
  #closed = false;
  #bytes = 0;
  #room = 3; // how many steps fit, as far as is known

  constructor(run, tiles, onready) {
    this.run = run;
    this.tiles = tiles;
    this.onready = onready;
  }

  /** What to have, the most urgent first; what is on its way and no longer wanted is given up. */
  want(steps) {
    // Wanting more than fits would push out what was fetched a moment ago, for ever.
    this.#wanted = steps.slice(0, this.#room);
    for (const [step, load] of this.#loading) if (!this.#wanted.includes(step)) load.abort();
    this.#pump();
  }

  has(step) {
    return this.#frames.has(step);
  }

  get(step) {
    const frame = this.#frames.get(step);
    if (frame) {
      this.#frames.delete(step);
      this.#frames.set(step, frame);
    }
    return frame?.bitmaps;
  }

  /** Of `steps`, the one at hand that is nearest to the place `index`. */
  nearest(steps, index) {
    for (let away = 0; away < steps.length; away++) {
      for (const at of [index - away, index + away]) {
        if (this.#frames.has(steps[at])) return steps[at];
      }
    }
    return undefined;
  }

  close() {
    this.#closed = true;
    this.want([]);
    for (const step of [...this.#frames.keys()]) this.#drop(step);
  }

  #pump() {
    for (const step of this.#wanted) {
      if (this.#loading.size >= AT_ONCE) return;
      const rested = performance.now() - (this.#failed.get(step) ?? -Infinity) >= 1000 * AGAIN;
      if (rested && !this.#frames.has(step) && !this.#loading.has(step)) this.#load(step);
    }
  }

  async #load(step) {
    const load = new AbortController();
    this.#loading.set(step, load);
    try {
      const bitmaps = await pictures(this.run, step, this.tiles, { signal: load.signal });
      if (this.#closed) return release(bitmaps);
      this.#keep(step, bitmaps);
      this.onready();
    } catch (error) {
      if (error.name !== "AbortError") {
        // A picture that has to come from the Hub may fail once.
        this.#failed.set(step, performance.now());
        setTimeout(() => this.#pump(), 1000 * AGAIN);
      }
    }
    if (this.#loading.get(step) === load) this.#loading.delete(step);
    this.#pump();
  }

  #keep(step, bitmaps) {
    const pixels = Object.values(bitmaps).reduce((sum, b) => sum + b.width * b.height, 0);
    this.#drop(step);
    this.#frames.set(step, { bitmaps, bytes: 4 * pixels });
    this.#bytes += 4 * pixels;
    this.#room = Math.max(1, Math.min(64, Math.floor(BYTES / Math.max(1, 4 * pixels)) - 1));
    for (const old of this.#frames.keys()) {
      if (this.#bytes <= BYTES) break;
      if (old !== step && !this.#wanted.includes(old)) this.#drop(old);
    }
  }

  #drop(step) {
    const frame = this.#frames.get(step);
    if (!frame) return;
    release(frame.bitmaps);
    this.#bytes -= frame.bytes;
    this.#frames.delete(step);
  }
}

/** Fetch tiles of a step at once: {tile: ImageBitmap}; `size` asks for thumbnails. */
export async function pictures(run, step, tiles, { size = 0, signal } = {}) {
  const query = new URLSearchParams({ tiles: tiles.join(","), size, made: run.made });
  const answer = await fetch(address(`${runPath(run.name)}/frames/${step}?${query}`), { signal });
  if (!answer.ok) throw new Error(`${answer.status}`);
  return unpack(await answer.arrayBuffer());
}

/** Let go of what `pictures` gave, at once: no one knows when the browser would. */
export function release(bitmaps) {
  for (const bitmap of Object.values(bitmaps)) bitmap.close();
}

/** Decode what the route `frames` sends; what is missing or no picture is left out. */
async function unpack(buffer) {
  const length = new DataView(buffer).getUint32(0);
  const lengths = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  const bitmaps = {};
  let from = 4 + length;
  await Promise.all(
    Object.entries(lengths).map(async ([tile, size]) => {
      const part = new Blob([new Uint8Array(buffer, from, size)]);
      from += size;
      const bitmap = size && (await createImageBitmap(part).catch(() => null));
      if (bitmap) bitmaps[tile] = bitmap;
    }),
  );
  return bitmaps;
}
