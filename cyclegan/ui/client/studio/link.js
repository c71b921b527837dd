// The wire to the server: translations wait in gradio's queue, and only the last one counts.

const PATIENCE = 300; // milliseconds that a place in the queue lasts before it is worth saying

/** Sends requests. `gradio` has `translate(asked)`, of which there may be more kinds, `stop(id)` and
 * `listen(heard)`.
 *
 * `onreply(reply)` hears what the server says to the newest request and to no other,
 * `onplace({place, of, seconds})` where in the queue it is, null once it is its turn, and
 * `onlost()` that it will never be answered. Gradio shows its own status of them in `place`.
 */
export class Link {
  #gradio;
  #id = 0; // of the newest request
  #open = false; // whether an answer to it is awaited
  #timer = 0;

  constructor(gradio, { onreply, onplace, onlost, place = "#studio-queue" }) {
    this.#gradio = gradio;
    this.onreply = onreply;
    this.onplace = onplace;
    this.onlost = onlost;
    gradio.listen((value) => value && this.#hear(JSON.parse(value)));
    const queue = document.querySelector(place);
    const changes = { childList: true, subtree: true, characterData: true };
    new MutationObserver(() => this.#look(queue)).observe(queue, changes);
  }

  /** Ask for something in place of what was asked before. */
  ask(asked, kind = "translate") {
    this.cancel();
    this.#open = true;
    this.#gradio[kind]({ ...asked, id: ++this.#id });
  }

  /** Give up what was asked; the server goes no further with it than it must. */
  cancel() {
    if (this.#open) this.#gradio.stop(this.#id);
    this.#close();
  }

  #close() {
    this.#open = false;
    this.#place(null);
  }

  #hear(reply) {
    if (!this.#open || reply.id !== this.#id) return;
    if (reply.state === "working") this.#place(null);
    else this.#close();
    this.onreply(reply);
  }

  // Only gradio's own status knows the place in the queue, and that a request has failed for good.
  #look(queue) {
    if (!this.#open) return;
    if (queue.querySelector(".error")) {
      this.#close();
      return this.onlost();
    }
    // "queue: 2/5 | 3.1/12.0s": the second of five, for 3.1 seconds of probably 12.
    const said = /queue: (\d+)\/(\d+) \|\s*(?:([\d.]+)\/([\d.]+)s)?/.exec(queue.textContent);
    const seconds = said?.[4] ? Math.max(1, said[4] - said[3]) : null;
    this.#place(said && { place: +said[1], of: +said[2], seconds });
  }

  // A place that the request holds for a moment only is not worth a word.
  #place(place) {
    if (!place) {
      clearTimeout(this.#timer);
      this.#timer = 0;
      this.onplace(null);
    } else {
      this.latest = place;
      this.#timer ||= setTimeout(() => {
        this.#timer = 0;
        this.onplace(this.latest);
      }, PATIENCE);
    }
  }
}
