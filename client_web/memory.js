/**
 * The look inside the memory: while it is open, what is kept is asked for once a second.
 */

import { Description } from "./description.js";
import { Axis, drawPatches, drawStrip } from "./heatmap.js";
import { find } from "./page.js";
import { clock } from "./units.js";

/** @typedef {import("../clients/js/index.js").Description} Described */
/** @typedef {import("../clients/js/index.js").ServerEvent} ServerEvent */

const PERIOD = 1000; // milliseconds
const PATIENCE = 5000; // milliseconds until an unanswered request is made again
const PAGE = 10; // frames that Page Up and Page Down pass

export class MemoryPanel {
  /** @type {Description | null} */
  #description = null;
  /**
   * While the strip has the focus: what a screen reader has said stays so.
   * @type {number | null} Seconds. Null: the newest frame, whichever that is.
   */
  #chosen = null;
  /** @type {number | null} Seconds, while a mouse rests on the strip. */
  #hovered = null;
  #asked = "";
  #askedAt = -Infinity;
  #root = find("memory", HTMLDetailsElement);
  #strip = find("strip", HTMLCanvasElement);
  #patches = find("patches", HTMLCanvasElement);

  /** @param {() => string | null} ask Sends the request: its event's id, or null where it cannot. */
  constructor(ask) {
    this.ask = ask;
    window.setInterval(() => this.#tick(), PERIOD);
    this.#root.addEventListener("toggle", () => {
      this.#tick();
      this.#draw();
    });
    this.#strip.addEventListener("pointerdown", (event) => this.#point(event));
    this.#strip.addEventListener("pointermove", (event) => this.#point(event));
    this.#strip.addEventListener("pointerleave", () => {
      this.#hovered = null;
      this.#draw();
    });
    this.#strip.addEventListener("keydown", (event) => this.#key(event));
    this.#strip.addEventListener("focus", () => this.#pin(this.#current()));
    this.#strip.addEventListener("blur", () => {
      this.#chosen = null;
      this.#draw();
    });
    new ResizeObserver(() => this.#draw()).observe(this.#strip);
    const dark = window.matchMedia("(prefers-color-scheme: dark)");
    dark.addEventListener("change", () => this.#draw());
  }

  /** Another memory, or none: what was told is no longer so. */
  clear() {
    this.#description = this.#chosen = this.#hovered = null;
    this.#asked = "";
    this.#askedAt = -Infinity;
    this.#draw();
    this.#tick();
  }

  /**
   * @param {ServerEvent} event
   * @returns {boolean} Whether it was about what was asked here.
   */
  hear(event) {
    if (event.type === "lookback.memory.described" && event.description) {
      this.#asked = "";
      if (this.#root.open) this.#show(event.description);
      return true;
    }
    if (event.type === "error" && event.error && this.#asked === event.error.event_id) {
      this.#askedAt = performance.now() + PATIENCE;
      this.#set("words", event.error.message);
      return true;
    }
    return false;
  }

  #tick() {
    if (!this.#root.open || document.hidden) return;
    const now = performance.now();
    if (this.#asked && now - this.#askedAt < PATIENCE) return;
    this.#askedAt = now;
    this.#asked = this.ask() ?? "";
  }

  /** @param {Described} told */
  #show(told) {
    this.#description = new Description(told);
    this.#draw();
  }

  /** @param {PointerEvent} event */
  #point(event) {
    if (!this.#description?.frames.length) return;
    const { pace } = this.#description;
    const axis = new Axis(this.#description, this.#strip.clientWidth);
    const seconds = axis.time(event.offsetX) - pace / 2;
    if (event.type === "pointerdown" || event.buttons > 0) {
      this.#strip.focus();
      this.#pin(this.#description.nearest(seconds));
    }
    this.#hovered = event.pointerType === "mouse" ? seconds : null;
    this.#draw();
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (!this.#description || event.ctrlKey || event.metaKey || event.altKey) return;
    const last = this.#description.frames.length - 1;
    const at = this.#current();
    /** @type {Record<string, number>} */
    const moves = {
      ArrowLeft: at - 1,
      ArrowDown: at - 1,
      ArrowRight: at + 1,
      ArrowUp: at + 1,
      PageDown: at - PAGE,
      PageUp: at + PAGE,
      Home: 0,
      End: last,
    };
    const to = moves[event.key];
    if (to === undefined) return;
    event.preventDefault();
    this.#hovered = null;
    this.#pin(Math.min(Math.max(to, 0), last));
    this.#draw();
  }

  /** @param {number} index Of a frame. */
  #pin(index) {
    this.#chosen = this.#description?.frames[index] ?? null;
  }

  /** @returns {number} The frame that is shown, or the one next to it where that is gone. */
  #current() {
    const seconds = this.#hovered ?? this.#chosen;
    if (!this.#description) return -1;
    return seconds === null
      ? this.#description.frames.length - 1
      : this.#description.nearest(seconds);
  }

  /**
   * @param {string} name
   * @param {string} text
   */
  #set(name, text) {
    const part = this.#root.querySelector(`[data-memory="${name}"]`);
    if (part && part.textContent !== text) part.textContent = text;
  }

  #draw() {
    if (!this.#root.open) return;
    const description = this.#description;
    const inside = find("inside", HTMLDivElement);
    inside.hidden = !description?.frames.length;
    this.#set("words", description?.words ?? "Nothing is kept yet.");
    if (!description || inside.hidden) return;
    for (const [name, text] of Object.entries(description.facts)) this.#set(name, text);
    const { frames } = description;
    const index = this.#current();
    const words = description.frameWords(index);
    this.#set("from", clock(frames[0] ?? 0));
    this.#set("to", clock(frames[frames.length - 1] ?? 0));
    this.#set("frame", words);
    this.#strip.setAttribute("aria-valuemax", String(frames.length));
    this.#strip.setAttribute("aria-valuenow", String(index + 1));
    this.#strip.setAttribute("aria-valuetext", words);
    drawStrip(this.#strip, description, index);
    drawPatches(this.#patches, description, index);
  }
}
