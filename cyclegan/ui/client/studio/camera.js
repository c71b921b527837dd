// Taking a picture with the camera of this device.

import { t } from "../words.js";
import { el, symbol } from "./parts.js";

export class Camera {
  #stream = null;

  /** Browsers lend cameras to secure pages only. */
  static possible = () => Boolean(navigator.mediaDevices?.getUserMedia);

  constructor(onfile) {
    this.onfile = onfile;
    this.video = el("video", { autoplay: true, playsinline: true, muted: true });
    this.said = el("p", { role: "alert", hidden: true });
    this.shutter = el(
      "button",
      { type: "button", class: "first", onclick: () => this.#take() },
      symbol("camera"),
      t("translate.shutter"),
    );
    const close = el(
      "button",
      { type: "button", onclick: () => this.element.close() },
      t("translate.close"),
    );
    this.element = el(
      "dialog",
      { class: "camera", "aria-label": t("translate.take"), onclose: () => this.#release() },
      this.video,
      this.said,
      el("div", { class: "ways" }, this.shutter, close),
    );
  }

  async open() {
    this.said.hidden = true;
    this.video.hidden = false;
    this.shutter.disabled = true;
    this.element.showModal();
    try {
      const video = { facingMode: "environment", width: { ideal: 4096 }, height: { ideal: 4096 } };
      const stream = await navigator.mediaDevices.getUserMedia({ video });
      if (!this.element.open) return stream.getTracks().forEach((track) => track.stop());
      this.#stream = stream;
      this.video.srcObject = stream;
      await this.video.play();
      this.shutter.disabled = false;
    } catch (error) {
      const refused = error.name === "NotAllowedError";
      this.said.textContent = t(`translate.camera_${refused ? "refused" : "missing"}`);
      this.said.hidden = false;
      this.video.hidden = true;
    }
  }

  #take() {
    const canvas = el("canvas", {
      width: this.video.videoWidth,
      height: this.video.videoHeight,
    });
    canvas.getContext("2d").drawImage(this.video, 0, 0);
    canvas.toBlob(
      (blob) => {
        this.element.close();
        this.onfile(new File([blob], "camera.jpg", { type: "image/jpeg" }));
      },
      "image/jpeg",
      0.95,
    );
  }

  #release() {
    this.#stream?.getTracks().forEach((track) => track.stop());
    this.#stream = this.video.srcObject = null;
  }
}
