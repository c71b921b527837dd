// What is asked of the server: its models, and one frame after the other.

const JPEG = 0.9;
const PATIENCE = 20; // seconds that an answer may take
const LONGEST = 30; // seconds between attempts

/** The server does not translate at the moment; `message` is its sentence, or "" for silence. */
export class Refused extends Error {
  constructor(message, seconds) {
    super(message);
    this.seconds = seconds; // to wait
  }
}

export class Server {
  #visitor = crypto.randomUUID?.() ?? `visitor-${Math.random()}`.replace(".", "");
  #failures = 0; // in a row

  async models() {
    const answer = await fetch(address("models.json"), { cache: "no-store" });
    return answer.json();
  }

  /** Send a canvas; get its translation, and how many visitors are live. */
  async translate(canvas, { model, direction }, signal) {
    const body = await new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", JPEG));
    const query = new URLSearchParams({ model, direction, visitor: this.#visitor });
    const answer = await fetch(address(`frame?${query}`), {
      method: "POST",
      body,
      signal: AbortSignal.any([signal, AbortSignal.timeout(1000 * PATIENCE)]),
    }).catch(() => null);
    if (!answer?.ok) throw await this.#refusal(answer);
    this.#failures = 0;
    const bitmap = await createImageBitmap(await answer.blob());
    return { bitmap, visitors: Number(answer.headers.get("Live-Visitors")) };
  }

  async #refusal(answer) {
    const said = await answer?.json().catch(() => null);
    const first = Number(answer?.headers.get("Retry-After")) || 1;
    const seconds = Math.min(LONGEST, first * 2 ** this.#failures);
    this.#failures += 1;
    return new Refused(said?.error ?? "", seconds);
  }
}

const address = (path) => new URL(`live/${path}`, document.baseURI).href;
