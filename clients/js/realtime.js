/**
 * The websocket of one session: events out and in, and a new connection when one breaks.
 * Event names are those of the OpenAI Realtime API; the camera's own begin with "lookback.".
 */

import { ApiError, ConnectionFailed, LookbackError, SessionClosed, Unreachable } from "./errors.js";

/** @typedef {import("./events.js").ClientEvent} ClientEvent */
/** @typedef {import("./events.js").ServerEvent} ServerEvent */
/** @typedef {import("./http.js").Http} Http */

/**
 * @typedef {object} RealtimeHandlers
 * @property {(event: ServerEvent) => void} onEvent
 * @property {(open: boolean) => void} onOpen Told at each change.
 * @property {(error: LookbackError) => void} onGone It is over: the session is not there any more,
 *   or may not be used.
 */

// Close codes of the server.
const UNKNOWN_SESSION = 4404;
const NOT_ALLOWED = 3003;
// A session without a connection is kept for a few seconds only, so the first tries are quick.
const FIRST_WAIT = 250; // milliseconds
const LONGEST_WAIT = 5000; // milliseconds
const TRIES = 3; // of a first connection, where HTTP works

const gone = () => new SessionClosed("the server no longer has it", "unknown_session");

export class Realtime {
  /** @type {WebSocket | null} */
  #socket = null;
  #closed = false;
  // Pages are told by an open websocket why they may not have one: only a greeting makes it stand.
  #greeted = false;
  #stood = false;
  /** @type {import("./events.js").ErrorDetails | null} */
  #refusal = null;
  #refusals = 0;
  #wait = FIRST_WAIT;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #sent = 0;
  #heard;
  // Several clients share a session: their events must not have the same ids.
  #name = Math.random().toString(36).slice(2, 10);

  /**
   * @param {Http} http
   * @param {string} session
   * @param {string} heard The last event that is known already, or none.
   * @param {RealtimeHandlers} handlers
   */
  constructor(http, session, heard, handlers) {
    this.http = http;
    this.session = session;
    this.#heard = heard;
    this.handlers = handlers;
    this.#connect();
    globalThis.addEventListener?.("online", this.#retryNow);
  }

  get open() {
    return this.#greeted && this.#socket?.readyState === WebSocket.OPEN;
  }

  /**
   * @param {ClientEvent} event
   * @returns {string} The event's id, which an error about it carries.
   * @throws {Unreachable} While there is no connection.
   */
  send(event) {
    if (!this.#socket || !this.open) throw new Unreachable();
    const id = `${this.#name}-${++this.#sent}`;
    this.#socket.send(JSON.stringify({ event_id: id, ...event }));
    return id;
  }

  close() {
    this.#closed = true;
    clearTimeout(this.#timer);
    globalThis.removeEventListener?.("online", this.#retryNow);
    this.#socket?.close();
  }

  #connect() {
    /** @type {Record<string, string>} */
    const query = { session: this.session };
    // The server tells again what was missed in between.
    if (this.#heard) query.after = this.#heard;
    const socket = this.http.socket("v1/realtime", query);
    this.#socket = socket;
    this.#greeted = false;
    socket.onmessage = (message) => {
      if (this.#closed || typeof message.data !== "string") return;
      /** @type {ServerEvent} */
      const event = JSON.parse(message.data);
      if (!this.#greeted && event.error) {
        this.#refusal = event.error;
        return;
      }
      if (!this.#greeted) {
        this.#greeted = this.#stood = true;
        this.#wait = FIRST_WAIT;
        this.handlers.onOpen(true);
      }
      this.#heard = event.event_id ?? this.#heard;
      this.handlers.onEvent(event);
    };
    socket.onclose = (event) => {
      if (this.#closed) return;
      if (this.#greeted) this.handlers.onOpen(false);
      this.#greeted = false;
      const { code = "", message = "These credentials may not ask." } = this.#refusal ?? {};
      if (event.code === UNKNOWN_SESSION) this.#end(gone());
      else if (event.code === NOT_ALLOWED) this.#end(new ApiError(message, code, 403));
      else this.#retryLater();
    };
  }

  #retryLater() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#retry(), this.#wait);
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
      await this.http.call(`v1/sessions/${encodeURIComponent(this.session)}`);
    } catch (error) {
      if (this.#closed) return;
      if (!(error instanceof ApiError) || error.status >= 500) this.#retryLater();
      else this.#end(error.status === 404 ? gone() : error);
      return;
    }
    if (this.#closed) return;
    if (!this.#stood && ++this.#refusals >= TRIES) {
      const message = "The server is there, but the websocket was refused: these credentials may " +
        "not ask, or a proxy does not let websockets pass.";
      this.#end(new ConnectionFailed(message, "websocket_refused"));
    } else {
      this.#connect();
    }
  }

  /** @param {LookbackError} error */
  #end(error) {
    this.close();
    this.handlers.onGone(error);
  }
}
