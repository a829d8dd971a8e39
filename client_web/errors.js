/**
 * What can go wrong on the page, and the words for it: what happened and what to do.
 */

import { ApiError, LookbackError, Unreachable } from "../clients/js/index.js";

/** The browser keeps cameras away from pages that are neither HTTPS nor on this machine. */
export class InsecureContext extends Error {
  constructor() {
    super("not a secure context");
    this.name = "InsecureContext";
  }
}

/** The browser lacks something; the message says what. */
export class Unsupported extends Error {
  /** @param {string} message */
  constructor(message) {
    super(message);
    this.name = "Unsupported";
  }
}

/** @type {Record<string, string>} */
const CAMERA_WORDS = {
  NotAllowedError:
    "The camera was not allowed. Allow it with the camera symbol in the address bar, " +
    "then press “Camera” again. The sample clip needs no camera.",
  NotFoundError: "No camera was found. Connect one, share a screen, or use the sample clip.",
  OverconstrainedError: "That camera is gone. Choose another one.",
  NotReadableError:
    "The camera cannot be opened. Another program may be using it: close that one, then try again.",
  AbortError: "The camera did not start. Try again.",
  SecurityError: "This browser's settings forbid the camera for this page.",
};

/** @type {Record<string, string>} */
const SCREEN_WORDS = {
  NotAllowedError: "No screen was shared. Press “Screen” again and choose what to share.",
  NotFoundError: "There is no screen that can be shared.",
  NotReadableError: "The system did not let the browser capture the screen.",
  AbortError: "Sharing the screen did not start. Try again.",
};

/**
 * @param {unknown} error Whatever was thrown.
 * @param {"camera" | "screen" | "sample" | "server"} during What was being done.
 * @returns {string} A sentence or two for a person.
 */
export function words(error, during = "server") {
  if (error instanceof InsecureContext) {
    return (
      "Browsers give a camera or a screen only to pages on https:// or on this machine. " +
      "Open this page over HTTPS or as http://127.0.0.1. The sample clip works here too."
    );
  }
  if (error instanceof Unreachable) {
    return "The server cannot be reached. Is “lookback serve” still running?";
  }
  if (error instanceof ApiError && error.status === 401) {
    return "This gateway wants a key. Press the button again to give one.";
  }
  if (error instanceof ApiError && error.waiting) {
    const before = error.waiting.queue_position;
    const wait = before === 1 ? "One waits before yours." : `${before} wait before yours.`;
    return `All places for memories are taken. ${before === 0 ? "Yours is next." : wait}`;
  }
  if (error instanceof LookbackError || error instanceof Unsupported) return error.message;
  const table = { camera: CAMERA_WORDS, screen: SCREEN_WORDS, sample: {}, server: {} }[during];
  if (error instanceof DOMException) {
    const known = /** @type {Record<string, string>} */ (table)[error.name];
    if (known) return known;
  }
  const detail = error instanceof Error ? error.message : String(error);
  const what = {
    camera: "The camera did not start",
    screen: "Sharing the screen did not start",
    sample: "The sample clip did not start",
    server: "Something went wrong",
  }[during];
  return `${what}: ${detail || "no reason was given"}.`.replace(/\.\.$/, ".");
}
