/**
 * The key that a gateway may want: asked for in a dialogue, kept in this tab, and in no address.
 */

import { find } from "./page.js";

/** @typedef {import("../clients/js/index.js").ApiError} ApiError */

const STORED = "lookback.token";

/**
 * Who hands a page over puts a token behind the `#`, which browsers send nowhere. It leaves the
 * address bar at once, and with it the history.
 * @param {string} name Under which it is kept.
 */
function takeHandedOver(name) {
  const handed = new URLSearchParams(location.hash.slice(1));
  const token = handed.get("token");
  if (token === null) return;
  history.replaceState(history.state, "", location.pathname + location.search);
  if (token) sessionStorage.setItem(name, token);
}

export class Key {
  #dialog = find("key", HTMLDialogElement);
  #input = find("key-input", HTMLInputElement);
  #name;

  /** @param {string | null} session Whose token a link to it brings; null on one's own page. */
  constructor(session) {
    this.#name = session ? `${STORED}.${session}` : STORED;
    takeHandedOver(this.#name);
    find("key-form", HTMLFormElement).addEventListener("submit", (event) => {
      event.preventDefault();
      this.#dialog.close(this.#input.value.trim());
    });
    find("key-cancel", HTMLButtonElement).addEventListener("click", () => this.#dialog.close(""));
  }

  /** @returns {string | null} What was given before, in this tab. */
  get token() {
    return sessionStorage.getItem(this.#name) ?? sessionStorage.getItem(STORED);
  }

  /**
   * @param {ApiError} error Why one is wanted.
   * @returns {Promise<string | null>} Null where the person has none.
   */
  ask(error) {
    const refused = error.code !== "missing_credentials";
    find("key-refused", HTMLParagraphElement).hidden = !refused;
    if (refused) sessionStorage.removeItem(this.#name);
    this.#input.value = this.#dialog.returnValue = "";
    this.#dialog.showModal();
    return new Promise((resolve) => {
      const closed = () => {
        const token = this.#dialog.returnValue;
        if (token) sessionStorage.setItem(this.#name, token);
        this.#input.value = "";
        resolve(token || null);
      };
      this.#dialog.addEventListener("close", closed, { once: true });
    });
  }
}
