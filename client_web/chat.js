/**
 * The conversation: questions, and answers in their order, as they are written.
 */

import { AnswerFailed, ConnectionFailed, LookbackError, SessionClosed } from "../clients/js/index.js";
import { clock, duration } from "./units.js";

/** @typedef {import("../clients/js/index.js").Answer} Answer */
/** @typedef {import("../clients/js/index.js").About} About */

/**
 * An answer and where it stands.
 * @typedef {object} Entry
 * @property {Answer} answer
 * @property {HTMLElement} question
 * @property {HTMLElement} entry
 * @property {HTMLElement} text
 * @property {number} ahead What was last told of the answers that come first.
 */

/**
 * @param {About} about
 * @returns {string} What the answer rests on.
 */
function basis({ span, newest_frame_age: age, ttft_seconds: first }) {
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

/**
 * @param {Answer} answer One that has ended.
 * @returns {{text: string, footnote: string, kind: string}} `kind`: a class name, or none.
 */
function ended({ status, text, about, error }) {
  const why = basis(about);
  const after = (/** @type {string} */ words) => (why ? `${words} · ${why}` : words);
  if (status === "cancelled") return { text, footnote: after("Stopped"), kind: "stopped" };
  if (status === "incomplete") return { text, footnote: after("Cut at the length limit"), kind: "" };
  if (status !== "failed") return { text, footnote: why, kind: "" };
  const message = error instanceof LookbackError ? error.message : String(error);
  if (error instanceof AnswerFailed) return { text, footnote: message, kind: "failed" };
  const broken = error instanceof ConnectionFailed || error instanceof SessionClosed;
  if (broken) return { text, footnote: `Not finished: ${message}`, kind: "failed" };
  return { text: message, footnote: "", kind: "failed" };
}

const FORGOTTEN = "What was said above is forgotten, for want of room. What was seen is not.";

export class Chat {
  /** @type {Entry[]} In the order in which they were asked for. */
  #open = [];
  /** @type {HTMLElement[]} The questions that this memory has answered. */
  #turns = [];
  /** @type {HTMLElement | null} Stands between the turns that are forgotten and the others. */
  #border = null;
  #writing = false;

  /**
   * @param {HTMLElement} log Takes one child for each entry.
   * @param {HTMLElement} announcer A live region: screen readers hear whole answers, not pieces.
   * @param {(writing: boolean) => void} onWriting Told when the first answer that was asked for
   *   here is awaited, and when none is any more.
   */
  constructor(log, announcer, onWriting) {
    this.log = log;
    this.announcer = announcer;
    this.onWriting = onWriting;
  }

  /** Whether an answer that was asked for here is awaited or being written. */
  get writing() {
    return this.#open.some(({ answer }) => answer.mine);
  }

  /** A new memory, to which nothing was said yet. */
  begin() {
    this.#turns = [];
    this.#border = null;
  }

  /**
   * Shows a question and its answer, here and now and until it ends.
   * @param {Answer} answer
   */
  show(answer) {
    const question = this.#add("question", answer.question);
    if (!answer.mine) {
      question.classList.add("other");
      question.title = "Asked by somebody else";
    }
    const entry = this.#add("answer", "");
    entry.classList.add("writing");
    const text = /** @type {HTMLElement} */ (entry.querySelector("p"));
    const shown = { answer, question, entry, text, ahead: 0 };
    this.#open.push(shown);
    answer.onChange(() => this.#draw(shown));
    this.#draw(shown);
  }

  /** Stops the first answer that was asked for here. */
  stop() {
    this.#open.find(({ answer }) => answer.mine)?.answer.cancel();
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

  /** @param {Entry} shown */
  #draw(shown) {
    const { answer } = shown;
    if (answer.done) {
      if (this.#open.includes(shown)) this.#finish(shown);
    } else {
      this.#write(shown, answer.text);
      this.#wait(shown);
    }
    this.#remember(shown);
    if (this.#writing !== this.writing) this.onWriting((this.#writing = this.writing));
  }

  /** @param {Entry} shown */
  #wait(shown) {
    const { ahead } = shown.answer;
    if (ahead === shown.ahead) return;
    shown.ahead = ahead;
    this.#footnote(shown, ahead > 0 ? `Waiting: ${place(ahead)}` : "");
    if (ahead > 0) this.announcer.textContent = `Your question waits: ${place(ahead)}`;
  }

  /**
   * The border goes to where this answer's knowledge of the conversation begins.
   * @param {Entry} shown
   */
  #remember({ answer, question }) {
    const turns = answer.about.turns_forgotten;
    if (turns === undefined || turns === null || answer.done) return;
    if (turns === 0) {
      this.#border?.remove();
      this.#border = null;
      return;
    }
    if (!this.#border) this.#border = this.note(FORGOTTEN);
    const first = this.#turns[turns] ?? question;
    if (first.previousElementSibling !== this.#border) first.before(this.#border);
  }

  /**
   * @param {Entry} shown
   * @param {string} text
   */
  #write({ text: line }, text) {
    const written = text.trimStart();
    if (line.textContent === written) return;
    line.textContent = written;
    this.#reveal();
  }

  /** @param {Entry} shown */
  #finish(shown) {
    const { answer, entry, question } = shown;
    const { text, footnote, kind } = ended(answer);
    this.#open = this.#open.filter((one) => one !== shown);
    if (["completed", "incomplete"].includes(answer.status)) this.#turns.push(question);
    this.#write(shown, text);
    entry.classList.remove("writing");
    if (kind) entry.classList.add(kind);
    this.#footnote(shown, footnote);
    this.announcer.textContent = [text.trim(), footnote].filter(Boolean).join(" ");
    this.#reveal();
  }

  /**
   * @param {Entry} shown
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
