/**
 * The conversation: questions, and answers as they are written.
 */

import { clock, duration } from "./units.js";

/** @typedef {import("./realtime.js").ServerEvent} ServerEvent */
/** @typedef {import("./realtime.js").Response} Response */

/**
 * @typedef {object} Writing
 * @property {HTMLElement} entry
 * @property {HTMLElement} text
 * @property {string} written
 * @property {string | null} id Of the response, once the server has named it.
 * @property {string[]} events Ids of the events that asked for it.
 */

/**
 * @param {Response} response
 * @returns {string} What the answer rests on.
 */
function basis(response) {
  const { span, newest_frame_age: age, ttft_seconds: first } = response.lookback ?? {};
  const parts = [];
  if (span) parts.push(`Rests on ${clock(span[0])}–${clock(span[1])} of video`);
  if (age !== undefined && age !== null) parts.push(`newest frame ${duration(age)} old`);
  if (first !== undefined && first !== null) parts.push(`first word after ${duration(first)}`);
  return parts.join(" · ");
}

export class Chat {
  /** @type {Writing | null} */
  #writing = null;

  /**
   * @param {HTMLElement} log Takes one child for each entry.
   * @param {HTMLElement} announcer A live region: screen readers hear whole answers, not pieces.
   * @param {(writing: boolean) => void} onWriting Told when an answer begins and ends.
   */
  constructor(log, announcer, onWriting) {
    this.log = log;
    this.announcer = announcer;
    this.onWriting = onWriting;
  }

  /** Whether an answer is awaited or being written. */
  get writing() {
    return this.#writing !== null;
  }

  /** @returns {string | null} The id of the answer being written, where it is known. */
  get responseId() {
    return this.#writing?.id ?? null;
  }

  /**
   * @param {string} question
   * @param {string[]} events Ids of the events that carried it.
   */
  ask(question, events) {
    this.#add("question", question);
    const entry = this.#add("answer", "");
    entry.classList.add("writing");
    const text = /** @type {HTMLElement} */ (entry.querySelector("p"));
    this.#writing = { entry, text, written: "", id: null, events };
    this.onWriting(true);
  }

  /**
   * A remark of the page between the turns.
   * @param {string} text
   */
  note(text) {
    this.#add("note", text);
    this.announcer.textContent = text;
  }

  /**
   * Ends the answer being written, if there is one.
   * @param {string} why
   */
  interrupt(why) {
    if (this.#writing) this.#finish(`Not finished: ${why}`, "failed");
  }

  /**
   * @param {ServerEvent} event
   * @returns {boolean} Whether it was about the answer being written.
   */
  hear(event) {
    const writing = this.#writing;
    if (!writing) return event.type.startsWith("response.");
    if (event.type === "response.created" && event.response) {
      writing.id = event.response.id;
    } else if (event.type === "response.output_text.delta") {
      this.#write(writing.written + (event.delta ?? ""));
    } else if (event.type === "response.output_text.done") {
      // The whole text mends what a broken connection has swallowed.
      if (event.text) this.#write(event.text);
    } else if (event.type === "response.done" && event.response) {
      this.#done(event.response);
    } else if (event.type === "error" && event.error) {
      if (!writing.events.includes(event.error.event_id ?? "")) return false;
      this.#write(event.error.message);
      this.#finish("", "failed");
    }
    return event.type.startsWith("response.") || event.type === "error";
  }

  /** @param {string} text */
  #write(text) {
    const writing = /** @type {Writing} */ (this.#writing);
    writing.written = text;
    writing.text.textContent = text.trimStart();
    this.#reveal();
  }

  /** @param {Response} response */
  #done(response) {
    const about = basis(response);
    const why = response.status_details?.message ?? response.lookback?.message;
    if (response.status === "failed") {
      this.#finish(why ? `The answer failed: ${why}` : "The answer failed. Ask again.", "failed");
    } else if (response.status === "cancelled") {
      this.#finish(about ? `Stopped · ${about}` : "Stopped", "stopped");
    } else if (response.status === "incomplete") {
      this.#finish(about ? `Cut at the length limit · ${about}` : "Cut at the length limit", "");
    } else {
      this.#finish(about, "");
    }
  }

  /**
   * @param {string} footnote
   * @param {string} kind A class name, or none.
   */
  #finish(footnote, kind) {
    const { entry, written } = /** @type {Writing} */ (this.#writing);
    entry.classList.remove("writing");
    if (kind) entry.classList.add(kind);
    if (footnote) {
      const small = document.createElement("small");
      small.textContent = footnote;
      entry.append(small);
    }
    this.announcer.textContent = [written.trim(), footnote].filter(Boolean).join(" ");
    this.#writing = null;
    this.#reveal();
    this.onWriting(false);
  }

  /**
   * @param {"question" | "answer" | "note"} kind
   * @param {string} text
   * @returns {HTMLElement}
   */
  #add(kind, text) {
    const entry = document.createElement("li");
    entry.className = kind;
    const paragraph = document.createElement("p");
    paragraph.textContent = text;
    entry.append(paragraph);
    this.log.append(entry);
    this.#reveal(true);
    return entry;
  }

  /**
   * Keeps the newest entry in sight, unless the reader has scrolled up.
   * @param {boolean} [always]
   */
  #reveal(always = false) {
    const { scrollHeight, scrollTop, clientHeight } = this.log;
    if (always || scrollHeight - scrollTop - clientHeight < 120) {
      this.log.lastElementChild?.scrollIntoView({ block: "nearest" });
    }
  }
}
