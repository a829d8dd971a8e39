/**
 * The preview and the buttons that choose what is in it.
 */

import { listCameras, openCamera, openSample, openScreen } from "./camera.js";
import { words } from "./errors.js";
import { find } from "./page.js";
import { WakeLock } from "./wakelock.js";

/** @typedef {import("../clients/js/index.js").Wanted} Wanted */
/** @typedef {import("./camera.js").Source} Source */

/**
 * @typedef {object} ViewerHandlers
 * @property {(source: Source) => Promise<void>} onSource Sends it; `play` once it can flow.
 * @property {() => void} onStop The user, or the device, has ended it.
 * @property {() => void} onChange Something about it is to be shown differently.
 * @property {(seconds: number) => void} onClip The time in the sample clip.
 * @property {(message: string) => void} onProblem An empty one when there is none any more.
 */

const KINDS = /** @type {const} */ (["camera", "screen", "sample"]);

export class Viewer {
  /** @type {Wanted | null} What pictures the model takes, once that is known. */
  wanted = null;
  /** @type {Source | null} */
  #source = null;
  // Every press of a button has a new number; what an older one began ends quietly.
  #press = 0;
  #wakeLock = new WakeLock();
  #preview = find("preview", HTMLVideoElement);
  #picker = find("picker", HTMLLabelElement);
  #cameras = find("cameras", HTMLSelectElement);

  /** @param {ViewerHandlers} handlers */
  constructor(handlers) {
    this.handlers = handlers;
    for (const kind of KINDS) {
      find(kind, HTMLButtonElement).addEventListener("click", () => void this.#start(kind));
    }
    find("stop", HTMLButtonElement).addEventListener("click", () => this.#stop());
    this.#cameras.addEventListener("change", () => {
      void this.#start("camera", this.#cameras.value);
    });
    navigator.mediaDevices?.addEventListener("devicechange", () => {
      if (this.#source?.kind === "camera") void this.#list(this.#cameras.value);
    });
    this.#preview.addEventListener("timeupdate", () => {
      if (this.#source?.kind === "sample") this.handlers.onClip(this.#preview.currentTime);
    });
  }

  get source() {
    return this.#source;
  }

  /** Whether the sample clip has come to its end. */
  get over() {
    return this.#source?.kind === "sample" && this.#preview.ended;
  }

  /** The far end is ready: the sample clip begins, and goes on after a pause. */
  async play() {
    const source = this.#source;
    if (!source || this.over) return;
    try {
      await source.play();
    } catch (error) {
      if (source === this.#source) this.handlers.onProblem(words(error, source.kind));
    }
  }

  /** Another device is the camera now. */
  release() {
    this.#press++;
    this.#release();
    this.#draw();
  }

  /**
   * @param {Source["kind"]} kind
   * @param {string} [camera] The id of one camera.
   */
  async #start(kind, camera) {
    const press = ++this.#press;
    this.handlers.onProblem("");
    try {
      // Phones open one camera at a time; a cancelled screen share leaves the old source as it is.
      if (kind !== "screen") this.#release();
      const source = await this.#open(kind, camera);
      if (press !== this.#press) {
        source.stop();
        return;
      }
      this.#release();
      this.#source = source;
      this.#draw();
      if (kind !== "sample") await this.#follow(source);
      if (press === this.#press) await this.handlers.onSource(source);
    } catch (error) {
      if (press !== this.#press) return;
      this.handlers.onProblem(words(error, kind));
      if (!this.#source) this.handlers.onStop();
    } finally {
      this.#draw();
    }
  }

  /**
   * @param {Source["kind"]} kind
   * @param {string} [camera]
   * @returns {Promise<Source>}
   */
  #open(kind, camera) {
    if (kind === "camera") return openCamera(this.#preview, this.wanted, camera);
    if (kind === "screen") return openScreen(this.#preview, this.wanted);
    return openSample(this.#preview, () => this.#draw());
  }

  /**
   * Shows a live source at once, and notices its end.
   * @param {Source} source
   */
  async #follow(source) {
    const [track] = source.stream.getVideoTracks();
    track?.addEventListener("ended", () => {
      if (this.#source !== source) return;
      this.#stop();
      this.handlers.onProblem(
        source.kind === "screen"
          ? "Sharing the screen has ended. The memory stays: ask on, or choose another source."
          : "The camera has stopped: unplugged, or taken by another program. The memory stays.",
      );
    });
    await source.play();
    if (source.kind === "camera") await this.#list(track?.getSettings().deviceId);
  }

  #stop() {
    this.release();
    this.handlers.onStop();
  }

  #release() {
    this.#source?.stop();
    this.#source = null;
    this.#picker.hidden = true;
  }

  /** @param {string | undefined} chosen */
  async #list(chosen) {
    const list = await listCameras();
    this.#cameras.replaceChildren(
      ...list.map((one, index) => new Option(one.label || `Camera ${index + 1}`, one.deviceId)),
    );
    if (chosen) this.#cameras.value = chosen;
    this.#picker.hidden = list.length < 2;
  }

  #draw() {
    const { over } = this;
    this.#wakeLock.want(this.#source !== null && !over);
    for (const kind of KINDS) {
      const current = this.#source?.kind === kind && !over;
      find(kind, HTMLButtonElement).setAttribute("aria-current", String(current));
    }
    find("picture", HTMLDivElement).dataset.kind = this.#source?.kind ?? "none";
    find("stop", HTMLButtonElement).hidden = !this.#source || over;
    find("ended", HTMLParagraphElement).hidden = !over;
    const again = /** @type {HTMLElement} */ (find("sample", HTMLButtonElement).lastElementChild);
    again.textContent = over ? "Play it again" : "Use the sample clip";
    this.handlers.onChange();
  }
}
