/**
 * The conversation: questions, and answers in their order, as they are written.
 */

import { clock, duration } from "./units.js";

/** @typedef {import("./realtime.js").ServerEvent} ServerEvent */
/** @typedef {import("./realtime.js").Response} Response */
/** @typedef {import("./realtime.js").About} About */

/**
 * An answer that is awaited or being written.
 * @typedef {object} Writing
 * @property {HTMLElement} question
 * @property {HTMLElement} entry
 * @property {HTMLElement} text
 * @property {string} written
 * @property {string | null} id Of the response, once the server has named it.
 * @property {string[]} events Ids of the events that asked for it.
 * @property {number} ahead Questions that are answered first.
 * @property {Set<string>} behind Ids of the responses that were asked for later.
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

/**
 * @param {number} ahead
 * @returns {string} How many answers come first.
 */
function place(ahead) {
  return ahead === 1 ? "one answer comes before it." : `${ahead} answers come before it.`;
}

const FORGOTTEN = "What was said above is forgotten, for want of room. What was seen is not.";

export class Chat {
  /** @type {Writing[]} In the order in which they were asked for. */
  #writings = [];
  /** @type {HTMLElement[]} The questions that this memory has answered. */
  #turns = [];
  /** @type {HTMLElement | null} Stands between the turns that are forgotten and the others. */
  #border = null;

  /**
   * @param {HTMLElement} log Takes one child for each entry.
   * @param {HTMLElement} announcer A live region: screen readers hear whole answers, not pieces.
   * @param {(writing: boolean) => void} onWriting Told when the first one is awaited and when
   *   none is any more.
   */
  constructor(log, announcer, onWriting) {
    this.log = log;
    this.announcer = announcer;
    this.onWriting = onWriting;
  }

  /** Whether an answer is awaited or being written. */
  get writing() {
    return this.#writings.length > 0;
  }

  /** @returns {string | null} The id of the answer being written, where it is known. */
  get responseId() {
    return this.#writings[0]?.id ?? null;
  }

  /** A new memory, to which nothing was said yet. */
  begin() {
    this.#turns = [];
    this.#border = null;
  }

  /**
   * @param {string} text
   * @param {string[]} events Ids of the events that carried it.
   */
  ask(text, events) {
    const question = this.#add("question", text);
    const entry = this.#add("answer", "");
    entry.classList.add("writing");
    const line = /** @type {HTMLElement} */ (entry.querySelector("p"));
    const [id, behind] = [null, new Set()];
    this.#writings.push({ question, entry, text: line, written: "", id, events, ahead: 0, behind });
    if (this.#writings.length === 1) this.onWriting(true);
  }

  /**
   * A remark of the page between the turns.
   * @param {string} text
   * @returns {HTMLElement}
   */
  note(text) {
    this.announcer.textContent = text;
    return this.#add("note", text);
  }

  /**
   * Ends all answers that are awaited or being written.
   * @param {string} why
   */
  interrupt(why) {
    for (const writing of [...this.#writings]) {
      this.#finish(writing, `Not finished: ${why}`, "failed");
    }
  }

  /**
   * @param {ServerEvent} event
   * @returns {boolean} Whether it was about an answer.
   */
  hear(event) {
    if (event.type === "error" && event.error) {
      const blamed = event.error.event_id ?? "";
      const writing = this.#writings.find((one) => one.events.includes(blamed));
      if (!writing) return false;
      this.#write(writing, event.error.message);
      this.#finish(writing, "", "failed");
      return true;
    }
    if (!/^(lookback\.)?response\./.test(event.type)) return false;
    if (event.type === "response.created" && event.response) this.#created(event.response);
    if (event.type === "response.done" && event.response) this.#advance(event.response.id);
    const id = event.response?.id ?? event.response_id;
    const writing = this.#writings.find((one) => one.id === id);
    if (!writing) return true;
    if (event.type === "lookback.response.started" && event.lookback) {
      this.#wait(writing, 0);
      this.#remember(writing, event.lookback);
    } else if (event.type === "response.output_text.delta") {
      this.#write(writing, writing.written + (event.delta ?? ""));
    } else if (event.type === "response.output_text.done") {
      // The whole text mends what a broken connection has swallowed.
      if (event.text) this.#write(writing, event.text);
    } else if (event.type === "response.done" && event.response) {
      this.#done(writing, event.response);
    }
    return true;
  }

  /** @param {Response} response */
  #created(response) {
    for (const one of this.#writings) {
      if (one.id !== null) one.behind.add(response.id);
    }
    const asked = response.metadata?.asked ?? "";
    const writing = this.#writings.find((one) => one.id === null && one.events.includes(asked));
    if (!writing) return;
    writing.id = response.id;
    this.#wait(writing, response.lookback?.queue_position ?? 0);
  }

  /**
   * Those that wait for an answer have one less before them.
   * @param {string} ended The id of a response.
   */
  #advance(ended) {
    for (const one of this.#writings) {
      const before = one.id !== ended && !one.behind.has(ended);
      if (one.ahead > 0 && before) this.#wait(one, one.ahead - 1);
    }
  }

  /**
   * @param {Writing} writing
   * @param {number} ahead
   */
  #wait(writing, ahead) {
    writing.ahead = ahead;
    this.#footnote(writing, ahead > 0 ? `Waiting: ${place(ahead)}` : "");
    if (ahead > 0) this.announcer.textContent = `Your question waits: ${place(ahead)}`;
  }

  /**
   * The border goes to where this answer's knowledge of the conversation begins.
   * @param {Writing} writing
   * @param {About} about
   */
  #remember(writing, about) {
    const turns = about.turns_forgotten ?? 0;
    if (turns === 0) {
      this.#border?.remove();
      this.#border = null;
      return;
    }
    if (!this.#border) this.#border = this.note(FORGOTTEN);
    (this.#turns[turns] ?? writing.question).before(this.#border);
  }

  /**
   * @param {Writing} writing
   * @param {string} text
   */
  #write(writing, text) {
    writing.written = text;
    writing.text.textContent = text.trimStart();
    this.#reveal();
  }

  /**
   * @param {Writing} writing
   * @param {Response} response
   */
  #done(writing, response) {
    const about = basis(response);
    if (["completed", "incomplete"].includes(response.status)) this.#turns.push(writing.question);
    const why = response.status_details?.message ?? response.lookback?.message;
    if (response.status === "failed") {
      const words = why ? `The answer failed: ${why}` : "The answer failed. Ask again.";
      this.#finish(writing, words, "failed");
    } else if (response.status === "cancelled") {
      this.#finish(writing, about ? `Stopped · ${about}` : "Stopped", "stopped");
    } else if (response.status === "incomplete") {
      const words = "Cut at the length limit";
      this.#finish(writing, about ? `${words} · ${about}` : words, "");
    } else {
      this.#finish(writing, about, "");
    }
  }

  /**
   * @param {Writing} writing
   * @param {string} footnote
   * @param {string} kind A class name, or none.
   */
  #finish(writing, footnote, kind) {
    const { entry, written } = writing;
    entry.classList.remove("writing");
    if (kind) entry.classList.add(kind);
    this.#footnote(writing, footnote);
    this.announcer.textContent = [written.trim(), footnote].filter(Boolean).join(" ");
    this.#writings = this.#writings.filter((one) => one !== writing);
    this.#reveal();
    if (this.#writings.length === 0) this.onWriting(false);
  }

  /**
   * @param {Writing} writing
   * @param {string} text Or none.
   */
  #footnote({ entry }, text) {
    entry.querySelector("small")?.remove();
    if (!text) return;
    const small = document.createElement("small");
    small.textContent = text;
    entry.append(small);
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
