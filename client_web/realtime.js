/**
 * The websocket of one session: events out and in, and a new connection when one breaks.
 * Event names are those of the OpenAI Realtime API; the camera's own begin with "lookback.".
 */

import { Unreachable } from "./errors.js";
import { address, sessionExists } from "./session.js";

/**
 * What the memory holds. Ages and spans are in seconds of stream time.
 * @typedef {object} Memory
 * @property {number} tokens
 * @property {number} peak_tokens
 * @property {number} cap_tokens
 * @property {number} kv_bytes
 * @property {number} frames_seen
 * @property {number} frames_dropped
 * @property {number} compressions
 * @property {[number, number] | null} span
 * @property {number | null} newest_frame_age
 */

/** @typedef {import("./description.js").DescriptionEvent} DescriptionEvent */

/**
 * What an answer rests on, how long it took, and what it does not know any more.
 * @typedef {object} About
 * @property {[number, number] | null} [span]
 * @property {number | null} [newest_frame_age]
 * @property {number} [queue_position] Questions that are answered first, as it was asked.
 * @property {number} [turns_forgotten] Earlier turns that this answer was written without.
 * @property {number | null} [ttft_seconds]
 * @property {string} [message]
 */

/**
 * @typedef {object} Response
 * @property {string} id
 * @property {"in_progress" | "completed" | "cancelled" | "incomplete" | "failed"} status
 * @property {{input_tokens: number, output_tokens: number, total_tokens: number}} [usage]
 * @property {{message?: string} | null} [status_details]
 * @property {{asked?: string} | null} [metadata] As it was asked for.
 * @property {About} [lookback]
 */

/**
 * Any event of the server; each type carries only some of these.
 * @typedef {object} ServerEvent
 * @property {string} type
 * @property {string} [event_id]
 * @property {string} [response_id]
 * @property {string} [delta]
 * @property {string} [text]
 * @property {Response} [response]
 * @property {About} [lookback] Of `lookback.response.started`.
 * @property {Memory} [memory]
 * @property {DescriptionEvent} [description]
 * @property {{state: string}} [camera]
 * @property {{code?: string, message: string, event_id?: string | null}} [error]
 * @property {string} [reason]
 * @property {string} [message]
 */

/** @typedef {{type: string} & Record<string, unknown>} ClientEvent */

/**
 * @typedef {object} RealtimeHandlers
 * @property {(event: ServerEvent) => void} onEvent
 * @property {(open: boolean) => void} onOpen Told at each change.
 * @property {() => void} onGone The server has no such session any more.
 */

/** The server's close code for a session that it does not have. */
const UNKNOWN_SESSION = 4404;
// A session without a connection is kept for a few seconds only, so the first tries are quick.
const FIRST_WAIT = 250; // milliseconds
const LONGEST_WAIT = 5000; // milliseconds

export class Realtime {
  /** @type {WebSocket | null} */
  #socket = null;
  #closed = false;
  #wait = FIRST_WAIT;
  #timer = 0;
  #sent = 0;
  #heard = "";

  /**
   * @param {string} session
   * @param {RealtimeHandlers} handlers
   */
  constructor(session, handlers) {
    this.session = session;
    this.handlers = handlers;
    this.#connect();
    window.addEventListener("online", this.#retryNow);
  }

  get open() {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  /**
   * @param {ClientEvent} event
   * @returns {string} The event's id, which an error about it carries.
   * @throws {Unreachable} While there is no connection.
   */
  send(event) {
    if (!this.#socket || !this.open) throw new Unreachable();
    const id = `page-${++this.#sent}`;
    this.#socket.send(JSON.stringify({ event_id: id, ...event }));
    return id;
  }

  close() {
    this.#closed = true;
    clearTimeout(this.#timer);
    window.removeEventListener("online", this.#retryNow);
    this.#socket?.close();
  }

  #connect() {
    const url = address("v1/realtime");
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    url.searchParams.set("session", this.session);
    // The server tells again what was missed in between.
    if (this.#heard) url.searchParams.set("after", this.#heard);
    const socket = new WebSocket(url);
    this.#socket = socket;
    socket.onopen = () => {
      this.#wait = FIRST_WAIT;
      if (!this.#closed) this.handlers.onOpen(true);
    };
    socket.onmessage = (message) => {
      if (this.#closed || typeof message.data !== "string") return;
      /** @type {ServerEvent} */
      const event = JSON.parse(message.data);
      // The close code that follows says the same.
      if (event.error?.code === "unknown_session") return;
      this.#heard = event.event_id ?? this.#heard;
      this.handlers.onEvent(event);
    };
    socket.onclose = (event) => {
      if (this.#closed) return;
      this.handlers.onOpen(false);
      if (event.code === UNKNOWN_SESSION) this.#gone();
      else this.#retryLater();
    };
  }

  #retryLater() {
    clearTimeout(this.#timer);
    this.#timer = window.setTimeout(() => void this.#retry(), this.#wait);
    this.#wait = Math.min(this.#wait * 2, LONGEST_WAIT);
  }

  #retryNow = () => {
    if (!this.#closed && this.#socket?.readyState === WebSocket.CLOSED) {
      clearTimeout(this.#timer);
      void this.#retry();
    }
  };

  async #retry() {
    try {
      // A refused handshake tells a page nothing, so ask over HTTP first.
      const exists = await sessionExists(this.session);
      if (this.#closed) return;
      if (exists) this.#connect();
      else this.#gone();
    } catch {
      if (!this.#closed) this.#retryLater();
    }
  }

  #gone() {
    this.close();
    this.handlers.onGone();
  }
}
