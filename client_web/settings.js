/**
 * What a memory is begun with.
 */

import { find } from "./page.js";

/** @typedef {import("../clients/js/index.js").SessionOptions} SessionOptions */

export class Settings {
  #instructions = find("instructions", HTMLTextAreaElement);
  #due = find("due", HTMLParagraphElement);
  #sent = "";
  #open = false;

  constructor() {
    this.#instructions.addEventListener("input", () => this.#draw());
  }

  get #wanted() {
    return this.#instructions.value.trim();
  }

  /** @returns {SessionOptions} For a memory that is begun now. */
  begin() {
    this.#sent = this.#wanted;
    return this.#sent ? { instructions: this.#sent } : {};
  }

  /** @param {boolean} open Whether there is a memory. */
  show(open) {
    this.#open = open;
    this.#draw();
  }

  #draw() {
    this.#due.hidden = !this.#open || this.#sent === this.#wanted;
  }
}
