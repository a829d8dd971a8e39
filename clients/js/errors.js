/**
 * What can go wrong. `code` is short, for programs; `message` says in words what happened and
 * what to do; `retryAfter` is in seconds, where waiting helps.
 */

export class LookbackError extends Error {
  /**
   * @param {string} message
   * @param {string} code
   * @param {number | null} [retryAfter]
   */
  constructor(message, code, retryAfter = null) {
    super(message);
    this.name = new.target.name;
    this.code = code;
    this.retryAfter = retryAfter;
  }
}

/** An answer of the server that is no success. */
export class ApiError extends LookbackError {
  /**
   * @param {string} message
   * @param {string} code
   * @param {number} status HTTP status.
   * @param {number | null} [retryAfter]
   * @param {{queue_position: number, ticket: string} | null} [waiting] Where no worker has room:
   *   how many sessions come first, and what keeps the place (`lookback.open({ ticket })`).
   */
  constructor(message, code, status, retryAfter = null, waiting = null) {
    super(message, code, retryAfter);
    this.status = status;
    this.waiting = waiting;
  }
}

/** No answer at all. */
export class Unreachable extends LookbackError {
  constructor() {
    super("The server cannot be reached.", "unreachable", 1);
  }
}

/** A websocket was refused, or the video found no way. */
export class ConnectionFailed extends LookbackError {}

/** The session is gone, and its memory with it; `code` is the reason. */
export class SessionClosed extends LookbackError {}

/** An answer that has begun and ended without being complete. */
export class AnswerFailed extends LookbackError {}
