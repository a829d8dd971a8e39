/**
 * What is being watched, in words: by this page's camera, or by another device's.
 */

import { find } from "./page.js";

/** @typedef {import("../clients/js/index.js").CameraStatus} CameraStatus */
/** @typedef {import("../clients/js/index.js").State} State */
/** @typedef {import("./status.js").Status} Status */

const STILL = 2500; // milliseconds without a new picture; slow cameras send one a second

/** @type {Record<string, string>} */
const ELSEWHERE = {
  live: "Another camera watches",
  connecting: "Another camera is connecting…",
  stalled: "No new pictures",
};

export class Watched {
  /** @type {State} */
  #link = "idle";
  /** @type {CameraStatus | null} */
  #camera = null;
  #received = 0;
  #movedAt = 0;
  #filming = false;
  #over = false;
  #shared = false;
  #joined = false;

  /** @param {Status} status */
  constructor(status) {
    this.status = status;
    window.setInterval(() => this.#draw(), 1000);
  }

  /** Whether nothing is wanted yet. */
  get idle() {
    return this.#link === "idle";
  }

  /**
   * @param {boolean} open Whether there is a memory.
   * @param {boolean} joined Whether it is somebody else's.
   */
  begin(open, joined) {
    this.#camera = null;
    this.#shared = false;
    this.#joined = open && joined;
    this.#draw();
  }

  /** Others were let into the memory. */
  share() {
    this.#shared = true;
    this.#draw();
  }

  /** @param {State} state */
  link(state) {
    if (this.#link !== state) this.#camera = null; // What was told is of the time before.
    this.#link = state;
    this.#draw();
  }

  /**
   * @param {boolean} filming Whether this page has a camera, a screen or a clip.
   * @param {boolean} over Whether the clip has come to its end.
   */
  film(filming, over) {
    this.#filming = filming;
    this.#over = over;
    this.#draw();
  }

  /** @param {CameraStatus} camera */
  hear(camera) {
    if (camera.frames_received !== this.#received || this.#camera?.number !== camera.number) {
      this.#received = camera.frames_received;
      this.#movedAt = performance.now();
    }
    this.#camera = camera;
    this.#draw();
  }

  #draw() {
    const state = this.#camera?.state ?? "none";
    const flowing = state === "live" || (this.#link === "live" && state === "none");
    this.status.show(this.#link, this.#words(state), flowing && !this.#over);
    const waits = this.#link === "open" && !this.#filming && (this.#shared || this.#joined);
    const [title, text] = !waits
      ? ["Show me something.", "I remember what I see, in an amount of memory that never grows. " +
          "Ask me later."]
      : state === "live" || state === "stalled"
        ? ["Another device is the camera.", "Its picture is not shown here. Ask about it."]
        : ["Waiting for a camera.", this.#joined ? "Ask about what was seen before." :
            "Give another device the address below, or press “Camera”."];
    find("invitation-title", HTMLParagraphElement).textContent = title ?? "";
    find("invitation-text", HTMLParagraphElement).textContent = text ?? "";
  }

  /**
   * @param {string} state Of the session's camera.
   * @returns {string} What to say instead of the link's state; nothing where that is right.
   */
  #words(state) {
    if (this.#over) return "The clip is over";
    const still = state === "live" && performance.now() - this.#movedAt > STILL;
    if (this.#link === "live") {
      if (state === "stalled" || state === "gone") return "No new pictures";
      return still ? "Watching: nothing moves" : "";
    }
    const waiting = this.#shared || this.#joined ? "Waiting for a camera" : "";
    return still ? "Another camera: nothing moves" : (ELSEWHERE[state] ?? waiting);
  }
}
