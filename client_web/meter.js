/**
 * How full the memory is, what went into it, and how fresh it is.
 */

import { History } from "./history.js";
import { clock, duration, number, size } from "./units.js";

/** @typedef {import("../clients/js/index.js").Memory} Memory */
/** @typedef {import("../clients/js/index.js").SessionDescription} SessionDescription */

export class Meter {
  /** @type {Memory | null} */
  #memory = null;
  /** @type {SessionDescription | null} */
  #session = null;
  #heardAt = 0;

  /** @param {HTMLElement} root Holds elements with `data-meter` names. */
  constructor(root) {
    this.root = root;
    const drawing = /** @type {SVGElement} */ (root.querySelector("svg"));
    this.history = new History(drawing);
    window.setInterval(() => this.#tick(), 250);
    window.setInterval(() => {
      const held = this.#memory;
      if (held && held.cap_tokens > 0) this.history.add(held.tokens / held.cap_tokens);
    }, 1000);
    this.#draw();
  }

  get framesSeen() {
    return this.#memory?.frames_seen ?? 0;
  }

  /** @param {SessionDescription | null} session Null while there is no memory. */
  open(session) {
    this.#session = session;
    this.#memory = null;
    this.history.clear();
    this.#draw();
  }

  /** @param {Memory} memory */
  update(memory) {
    this.#memory = memory;
    this.#heardAt = performance.now();
    this.#draw();
  }

  /** @param {string} name */
  #part(name) {
    return /** @type {HTMLElement} */ (this.root.querySelector(`[data-meter="${name}"]`));
  }

  /**
   * @param {string} name
   * @param {string} text
   */
  #set(name, text) {
    const part = this.#part(name);
    if (part.textContent !== text) part.textContent = text;
  }

  #draw() {
    const memory = this.#memory;
    const cap = memory?.cap_tokens ?? this.#session?.cap_tokens ?? 0;
    const tokens = memory?.tokens ?? 0;
    const share = cap > 0 ? Math.min(1, tokens / cap) : 0;
    const peak = cap > 0 ? Math.min(1, (memory?.peak_tokens ?? 0) / cap) : 0;
    const bytes = this.#session?.kv_bytes ?? memory?.kv_bytes ?? 0;
    const used = cap
      ? `${number(tokens)} of ${number(cap)} tokens · ${size(bytes)}, never more`
      : "no memory open";
    this.#set("used", used);
    const bar = this.#part("bar");
    bar.setAttribute("aria-valuemax", String(cap || 1));
    bar.setAttribute("aria-valuenow", String(tokens));
    bar.setAttribute("aria-valuetext", used);
    bar.style.setProperty("--share", String(share));
    bar.style.setProperty("--peak", String(peak));
    this.#set("seen", memory ? number(memory.frames_seen) : "–");
    this.#set("dropped", memory ? number(memory.frames_dropped) : "–");
    this.#set("compressions", memory ? number(memory.compressions) : "–");
    const span = memory?.span;
    this.#set("span", span ? `${clock(span[0])}–${clock(span[1])}` : "–");
    this.#tick();
  }

  #tick() {
    const age = this.#memory?.newest_frame_age;
    if (age === undefined || age === null) return this.#set("age", "–");
    const now = age + (performance.now() - this.#heardAt) / 1000;
    return this.#set("age", now < 10 ? `${now.toFixed(1)} s` : duration(now));
  }
}
