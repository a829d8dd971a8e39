/**
 * One answer, from the question to its end. `for await` gives its pieces as they are written.
 */

/** @typedef {import("./errors.js").LookbackError} LookbackError */
/** @typedef {import("./events.js").About} About */
/** @typedef {import("./events.js").Response} Response */

/**
 * `waiting`: not begun. The others are as the gateway tells them.
 * @typedef {"waiting" | "writing" | "completed" | "incomplete" | "cancelled" | "failed"}
 *   AnswerStatus
 */

export class Answer {
  /** @type {string | null} The response's id, once the server has named it. */
  id = null;
  /** @type {AnswerStatus} */
  status = "waiting";
  text = "";
  /** How many answers come first. */
  ahead = 0;
  /** @type {About} What it rests on, once it has begun. */
  about = {};
  /** @type {Response | null} What the server said at its end. */
  response = null;
  /** @type {unknown} Why there is no, or no whole, answer. */
  error = null;
  /** @type {Set<() => void>} */
  #listeners = new Set();
  #cancel;

  /**
   * @param {string} question
   * @param {boolean} mine Whether this client asked.
   * @param {() => void} cancel
   */
  constructor(question, mine, cancel) {
    this.question = question;
    this.mine = mine;
    this.#cancel = cancel;
  }

  get done() {
    return this.status !== "waiting" && this.status !== "writing";
  }

  /** Stops it within one token. What was written stays; `for await` ends. */
  cancel() {
    if (!this.done) this.#cancel();
  }

  /**
   * @param {() => void} listener Called at every change.
   * @returns {() => void} Call it to hear no more.
   */
  onChange(listener) {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * Takes note of something new. For the session; throws nothing.
   * @param {Partial<Pick<Answer, "status" | "text" | "ahead" | "about" | "response" | "error">>} news
   */
  update(news) {
    if (this.done) return;
    Object.assign(this, news);
    for (const listener of [...this.#listeners]) listener();
  }

  /**
   * @returns {Promise<string>} The whole text, once it is written.
   * @throws {LookbackError} Where there is none.
   */
  async whole() {
    for await (const _ of this);
    return this.text;
  }

  /**
   * Its pieces; whoever breaks off cancels it.
   * @returns {AsyncGenerator<string, void, void>}
   * @throws {LookbackError} Where the answer fails; an aborted signal's reason.
   */
  async *[Symbol.asyncIterator]() {
    let given = 0;
    try {
      for (;;) {
        const piece = this.text.slice(given);
        given += piece.length;
        if (piece) yield piece;
        else if (this.error) throw this.error;
        else if (this.done) return;
        else await this.#changed();
      }
    } finally {
      this.cancel();
    }
  }

  /** @returns {Promise<void>} */
  #changed() {
    return new Promise((resolve) => {
      const unlisten = this.onChange(() => {
        unlisten();
        resolve();
      });
    });
  }
}
