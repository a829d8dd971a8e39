/**
 * Other devices: addresses and links by which they are the camera of this memory, or ask about it.
 */

import { words } from "./errors.js";
import { address, find } from "./page.js";

/** @typedef {import("../clients/js/index.js").Session} Session */

/**
 * @typedef {object} SharingHandlers
 * @property {() => Promise<Session | null>} session The memory that is shared, begun where there is
 *   none; null where it cannot be had.
 * @property {() => boolean} guarded Whether this gateway wants keys.
 * @property {(message: string) => void} onProblem
 */

/** @typedef {{label: string, value: string}} Field */

const VALID = 8 * 3600; // seconds; a day's work

/** @param {string} host */
const onlyHere = (host) => /^(localhost|127\.|\[::1\])/.test(host);

export class Sharing {
  #fields = find("shared", HTMLDivElement);
  #hint = find("shared-hint", HTMLParagraphElement);
  /** @type {HTMLButtonElement[]} */
  #buttons = [];

  /** @param {SharingHandlers} handlers */
  constructor(handlers) {
    this.handlers = handlers;
    this.#offer("share-whip", (session) => this.#whip(session));
    this.#offer("share-camera", (session) => this.#link(session, true));
    this.#offer("share-ask", (session) => this.#link(session, false));
  }

  /** Another memory, or none: what was made for the old one is of no use. */
  clear() {
    this.#fields.replaceChildren();
    this.#hint.hidden = true;
    for (const button of this.#buttons) button.setAttribute("aria-pressed", "false");
  }

  /**
   * @param {string} id Of a button.
   * @param {(session: Session) => Promise<Field[]>} make
   */
  #offer(id, make) {
    const button = find(id, HTMLButtonElement);
    this.#buttons.push(button);
    button.addEventListener("click", async () => {
      button.disabled = true;
      try {
        const session = await this.handlers.session();
        if (!session) return;
        const fields = await make(session);
        this.clear();
        button.setAttribute("aria-pressed", "true");
        this.#fields.replaceChildren(...fields.map((field) => this.#row(field)));
        this.#hint.textContent = this.#advice(id === "share-camera");
        this.#hint.hidden = false;
      } catch (error) {
        this.handlers.onProblem(words(error));
      } finally {
        button.disabled = false;
      }
    });
  }

  /**
   * @param {Session} session
   * @returns {Promise<Field[]>}
   */
  async #whip(session) {
    const fields = [{ label: "WHIP address", value: session.whip.href }];
    if (this.handlers.guarded()) {
      const { token } = await session.token(["publish"], VALID);
      fields.push({ label: "Bearer token", value: token });
    }
    return fields;
  }

  /**
   * @param {Session} session
   * @param {boolean} camera Whether the other page may be the camera, too.
   * @returns {Promise<Field[]>}
   */
  async #link(session, camera) {
    const url = address(".");
    url.searchParams.set("session", session.id);
    if (camera) url.searchParams.set("camera", "");
    if (this.handlers.guarded()) {
      const { token } = await session.token(camera ? ["publish", "ask"] : ["ask"], VALID);
      url.hash = new URLSearchParams({ token }).toString();
    }
    return [{ label: camera ? "Link for the camera" : "Link to ask", value: url.href }];
  }

  /**
   * @param {boolean} camera
   * @returns {string} What the other device needs beside the address.
   */
  #advice(camera) {
    if (onlyHere(location.host)) {
      return "This page is open under a name that only this machine knows. For other devices, " +
        "let the gateway listen on the network, and open this page by its address there.";
    }
    if (camera && location.protocol === "http:") {
      return "Phones give a page their camera only over https://.";
    }
    return this.handlers.guarded()
      ? "Whoever has it may use this memory, and nothing else, for eight hours."
      : "Whoever has it may use this memory.";
  }

  /**
   * @param {Field} field
   * @returns {HTMLElement}
   */
  #row({ label, value }) {
    const row = document.createElement("label");
    row.textContent = label;
    const line = document.createElement("span");
    const input = document.createElement("input");
    input.readOnly = true;
    input.value = value;
    input.addEventListener("focus", () => input.select());
    const copy = document.createElement("button");
    copy.type = "button";
    copy.textContent = "Copy";
    copy.setAttribute("aria-label", `Copy: ${label}`);
    copy.addEventListener("click", () => void this.#copy(input, copy));
    line.append(input, copy);
    row.append(line);
    return row;
  }

  /**
   * @param {HTMLInputElement} input
   * @param {HTMLButtonElement} button
   */
  async #copy(input, button) {
    try {
      await navigator.clipboard.writeText(input.value);
      button.textContent = "Copied";
    } catch {
      // Without HTTPS there is no clipboard: what is selected can be copied by hand.
      input.focus();
      button.textContent = "Press Ctrl-C";
    }
    setTimeout(() => (button.textContent = "Copy"), 2000);
  }
}
