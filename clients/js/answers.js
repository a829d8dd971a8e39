/**
 * The answers of one session that are awaited or being written, whoever asked.
 */

import { Answer } from "./answer.js";
import { AnswerFailed, LookbackError } from "./errors.js";

/** @typedef {import("./events.js").Response} Response */
/** @typedef {import("./events.js").ServerEvent} ServerEvent */

/** Comes back with a response, and tells whose it is. */
export const ASKED = "lookback_asked";

export class Answers {
  /**
   * `events`: ids of those that asked for it. `order`: infinite until the server has taken the
   * question. `withdrawn`: to be stopped as soon as it has.
   * @typedef {{answer: Answer, events: string[], order: number, withdrawn: boolean}} Entry
   */
  /** @type {Entry[]} */
  #open = [];
  #created = 0;
  #onOther;
  #cancel;

  /**
   * @param {(answer: Answer) => void} onOther Told of each answer that somebody else asked for.
   * @param {(response: string) => void} cancel Asks the server to stop a response.
   */
  constructor(onOther, cancel) {
    this.#onOther = onOther;
    this.#cancel = cancel;
  }

  /** @returns {boolean} Whether any of this client's is awaited. */
  get awaited() {
    return this.#open.some(({ answer }) => answer.mine && !answer.done);
  }

  /**
   * @param {string} question
   * @returns {Entry} Its `events` are filled in as the question is sent.
   */
  ask(question) {
    return this.#add(question, true);
  }

  /**
   * One whose question was not sent.
   * @param {Answer} answer
   */
  drop(answer) {
    this.#open = this.#open.filter((one) => one.answer !== answer);
  }

  /**
   * Ends those that are still awaited.
   * @param {LookbackError} error
   */
  interrupt(error) {
    for (const { answer } of this.#open.splice(0)) answer.update({ status: "failed", error });
  }

  /**
   * @param {ServerEvent} event
   * @returns {boolean} Whether it was about an answer.
   */
  hear(event) {
    if (event.type === "error" && event.error) {
      const { event_id: blamed, message, code = "" } = event.error;
      const entry = this.#open.find(({ events }) => blamed && events.includes(blamed));
      if (!entry) return false;
      this.drop(entry.answer);
      entry.answer.update({ status: "failed", error: new LookbackError(message, code) });
      return true;
    }
    if (!/^(lookback\.)?response\./.test(event.type)) return false;
    if (event.type === "response.created" && event.response) this.#begun(event.response);
    if (event.type === "response.done" && event.response) this.#advance(event.response.id);
    const id = event.response?.id ?? event.response_id;
    const entry = this.#open.find(({ answer }) => answer.id === id);
    if (entry) this.#tell(entry.answer, event);
    return true;
  }

  /**
   * @param {Answer} answer
   * @param {ServerEvent} event
   */
  #tell(answer, event) {
    if (event.type === "lookback.response.started" && event.lookback) {
      answer.update({ status: "writing", ahead: 0, about: event.lookback });
    } else if (event.type === "response.output_text.delta") {
      answer.update({ status: "writing", text: answer.text + (event.delta ?? "") });
    } else if (event.type === "response.output_text.done") {
      // The whole text mends what a broken connection has swallowed.
      if (event.text) answer.update({ text: event.text });
    } else if (event.type === "response.done" && event.response) {
      this.drop(answer);
      this.#done(answer, event.response);
    }
  }

  /**
   * @param {string} question
   * @param {boolean} mine
   * @returns {Entry}
   */
  #add(question, mine) {
    const answer = new Answer(question, mine, () => this.#stop(entry));
    /** @type {Entry} */
    const entry = { answer, events: [], order: Infinity, withdrawn: false };
    this.#open.push(entry);
    return entry;
  }

  /** @param {Response} response */
  #begun({ id, metadata, lookback = {} }) {
    const asked = metadata?.[ASKED] ?? "";
    const known = this.#open.find((one) => one.answer.id === null && one.events.includes(asked));
    const entry = known ?? this.#add(lookback.question ?? "", false);
    entry.order = ++this.#created;
    entry.answer.id = id;
    entry.answer.update({ ahead: lookback.queue_position ?? 0 });
    if (!known) this.#onOther(entry.answer);
    if (entry.withdrawn) this.#cancel(id);
  }

  /**
   * Those that wait have one less before them.
   * @param {string} ended The id of a response.
   */
  #advance(ended) {
    const before = this.#open.find(({ answer }) => answer.id === ended)?.order ?? 0;
    for (const { answer, order } of this.#open) {
      const waits = answer.ahead > 0 && order > before && order !== Infinity;
      if (waits) answer.update({ ahead: answer.ahead - 1 });
    }
  }

  /**
   * @param {Answer} answer
   * @param {Response} response
   */
  #done(answer, response) {
    const { status, status_details: details, lookback = {} } = response;
    const about = { ...answer.about, ...lookback };
    const end = status === "in_progress" ? "completed" : status;
    const news = { status: end, response, about, ahead: 0 };
    if (status !== "failed") return answer.update(news);
    const told = details?.error?.message ?? details?.message ?? lookback.message;
    const message = told ? `The answer failed: ${told}` : "The answer failed. Ask again.";
    const error = new AnswerFailed(message, details?.error?.code ?? "answer_failed");
    return answer.update({ ...news, error });
  }

  /** @param {Entry} entry */
  #stop(entry) {
    entry.withdrawn = true;
    if (entry.answer.id !== null) this.#cancel(entry.answer.id);
  }
}
