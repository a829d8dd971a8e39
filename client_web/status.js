/**
 * The state in a few words, and the notice that says what went wrong.
 */

import { find } from "./page.js";

/** @typedef {import("../clients/js/index.js").State} State */
/** @typedef {"link" | "problem"} Topic A notice about the link goes when the link is back. */

/** @type {Record<State, string>} */
const STATE_WORDS = {
  idle: "Not watching",
  open: "Not watching",
  opening: "Opening a memory…",
  waiting: "Waiting for the model…",
  full: "Waiting for a free place…",
  lost: "Server not reachable",
  connecting: "Connecting the video…",
  live: "Watching",
  reconnecting: "Reconnecting…",
};

export class Status {
  #state = find("state", HTMLParagraphElement);
  #notice = find("notice", HTMLDivElement);
  #text = /** @type {HTMLElement} */ (this.#notice.querySelector("p"));

  constructor() {
    this.#notice.querySelector("button")?.addEventListener("click", () => {
      this.#notice.hidden = true;
    });
  }

  /**
   * @param {State} state
   * @param {string} instead What is so although the link stands, or nothing.
   * @param {boolean} flowing Whether pictures come.
   */
  show(state, instead, flowing) {
    const words = /** @type {HTMLElement} */ (this.#state.firstElementChild);
    const stands = state === "live" || state === "open";
    const text = (stands && instead) || STATE_WORDS[state];
    if (words.textContent !== text) words.textContent = text;
    this.#state.dataset.state = stands ? (flowing ? "live" : "still") : state;
  }

  /**
   * @param {string} text
   * @param {Topic} topic
   */
  say(text, topic) {
    // The same words again would be read out again.
    if (this.#text.textContent !== text) this.#text.textContent = text;
    this.#notice.dataset.topic = topic;
    this.#notice.hidden = false;
  }

  /** @param {Topic} topic */
  unsay(topic) {
    if (this.#notice.dataset.topic === topic) this.#notice.hidden = true;
  }
}
