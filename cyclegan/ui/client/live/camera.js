// The camera: its newest picture, at the size of the screen and at the model's.

const LARGE = 960; // pixels of the longest side on the screen
const MULTIPLE = 8; // networks halve sides; what does not divide would be padded
const FAILURES = {
  NotAllowedError: "refused",
  SecurityError: "refused",
  NotFoundError: "no_camera",
  OverconstrainedError: "no_camera",
  NotReadableError: "in_use",
  AbortError: "in_use",
};

export class Camera {
  #stream = null;
  #time = -1; // of the picture given last
  #facing = "user";
  #device = "";
  several = false; // whether there is another camera to turn to

  /** `lost` is called when the camera goes away by itself. */
  constructor(lost) {
    this.lost = lost;
    this.video = Object.assign(document.createElement("video"), { muted: true, playsInline: true });
    this.large = canvas();
    this.small = canvas();
  }

  /** Start it, or with `turned` the other one. What it throws has the `key` of a sentence. */
  async open(turned = false) {
    const wanted = turned ? await this.#other() : { facingMode: this.#facing };
    this.close();
    if (!navigator.mediaDevices) throw keyed("insecure");
    try {
      const size = { width: { ideal: 1280 }, height: { ideal: 720 } };
      this.#stream = await navigator.mediaDevices.getUserMedia({ video: { ...size, ...wanted } });
    } catch (error) {
      throw keyed(FAILURES[error.name] ?? "camera_failed", error);
    }
    const [track] = this.#stream.getVideoTracks();
    track.addEventListener("ended", this.lost);
    this.#facing = track.getSettings().facingMode ?? "user";
    this.#device = track.getSettings().deviceId;
    this.several = (await cameras()).length > 1;
    this.#time = -1;
    this.video.srcObject = this.#stream;
    await this.video.play();
  }

  /** Its light goes out. */
  close() {
    for (const track of this.#stream?.getTracks() ?? []) {
      track.removeEventListener("ended", this.lost);
      track.stop();
    }
    this.#stream = null;
    this.video.srcObject = null;
  }

  /** The newest picture that was not given yet: `large`, and `small` with the given short side. */
  async next(short, signal) {
    while (this.video.currentTime === this.#time && !signal.aborted) {
      await new Promise(requestAnimationFrame);
    }
    if (signal.aborted) return null;
    this.#time = this.video.currentTime;
    const { videoWidth: width, videoHeight: height } = this.video;
    const scale = short / Math.min(width, height);
    const whole = (side) => MULTIPLE * Math.round((side * scale) / MULTIPLE);
    this.#draw(this.large, Math.min(1, LARGE / Math.max(width, height)) * width, 0, width / height);
    this.#draw(this.small, whole(width), whole(height));
    return { large: this.large, small: this.small };
  }

  #draw(target, width, height, ratio = 1) {
    target.width = Math.round(width);
    target.height = Math.round(height || width / ratio);
    const context = target.getContext("2d", { willReadFrequently: true });
    if (this.#facing === "user") {
      // As in a mirror, which is how people know themselves.
      context.translate(target.width, 0);
      context.scale(-1, 1);
    }
    context.imageSmoothingQuality = "high";
    context.drawImage(this.video, 0, 0, target.width, target.height);
  }

  async #other() {
    // Phones know which way a camera looks, and have several that look the same way.
    const [track] = this.#stream?.getVideoTracks() ?? [];
    if (track?.getSettings().facingMode) {
      return { facingMode: this.#facing === "user" ? "environment" : "user" };
    }
    const all = await cameras();
    const at = all.findIndex(({ deviceId }) => deviceId === this.#device);
    const next = all[(at + 1) % all.length];
    return next ? { deviceId: { exact: next.deviceId } } : {};
  }
}

async function cameras() {
  const devices = await navigator.mediaDevices.enumerateDevices();
  return devices.filter(({ kind }) => kind === "videoinput");
}

function keyed(key, cause) {
  return Object.assign(new Error(cause?.message ?? key), { key });
}

function canvas() {
  return document.createElement("canvas");
}
