/**
 * One memory on the server with its websocket and its camera, kept alive. Knows nothing about
 * the page: it tells it the state, the events, and what a person should hear.
 */

import { ApiError, Unreachable, words } from "./errors.js";
import { Peer } from "./peer.js";
import { Realtime } from "./realtime.js";
import * as api from "./session.js";

/** @typedef {import("./realtime.js").ServerEvent} ServerEvent */

/**
 * `waiting`: there is no model yet. `full`: there is no room. `lost`: there is no server.
 * @typedef {"idle" | "opening" | "waiting" | "full" | "lost" | "connecting" | "live" |
 *   "reconnecting"} State
 */

/**
 * @typedef {object} ConnectionHandlers
 * @property {() => api.SessionOptions} options Those of a session that is opened now.
 * @property {(state: State, detail: string) => void} onState
 * @property {(event: ServerEvent) => void} onEvent
 * @property {(session: api.Session | null) => void} onSession
 * @property {(why: string) => void} onMemoryLost
 * @property {(message: string) => void} onProblem
 */

const FIRST_WAIT = 0.5; // seconds
const LONGEST_WAIT = 8; // seconds
const SHORT_LIFE = 10_000; // milliseconds; a session that dies sooner is replaced more slowly

/** @param {number} seconds */
const sleep = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));

export class Connection {
  /** @type {api.Session | null} */
  #session = null;
  /** @type {Realtime | null} */
  #realtime = null;
  /** @type {Peer | null} */
  #peer = null;
  /** @type {MediaStream | null} */
  #stream = null;
  // Whether pictures flow, as far as this side knows.
  #flowing = false;
  // Every new wish of the user has a new number; what was begun under an older one ends quietly.
  #wish = 0;
  #openedAt = 0;

  /** @param {ConnectionHandlers} handlers */
  constructor(handlers) {
    this.handlers = handlers;
  }

  get session() {
    return this.#session;
  }

  /** Whether a question can be sent now. */
  get open() {
    return this.#realtime?.open ?? false;
  }

  /**
   * Sends this stream, in the session that there is or in a new one: `live` when it flows.
   * @param {MediaStream} stream
   */
  async watch(stream) {
    const wish = ++this.#wish;
    this.#stream = stream;
    this.#hangUp();
    await this.#establish(wish);
  }

  /** Stops sending; the memory stays. */
  pause() {
    this.#wish++;
    this.#stream = null;
    this.#hangUp();
    this.handlers.onState("idle", "");
  }

  /** Closes the session, and with it the memory. */
  async forget() {
    const old = this.#session;
    this.#wish++;
    this.#drop();
    if (old) await api.deleteSession(old.id).catch((error) => this.handlers.onProblem(words(error)));
  }

  /** The page goes away. */
  leave() {
    const old = this.#session;
    if (old) api.closeOnLeaving(old.id);
    this.#wish++;
    this.#drop();
  }

  /**
   * @param {string} question
   * @returns {string[]} The ids of the events sent: an error about the question names one of them.
   * @throws {Unreachable}
   */
  ask(question) {
    if (!this.#realtime) throw new Unreachable();
    const content = [{ type: "input_text", text: question }];
    const item = { type: "message", role: "user", content };
    const asked = this.#realtime.send({ type: "conversation.item.create", item });
    // The response has it too, which tells whose it is.
    const response = { metadata: { asked } };
    return [asked, this.#realtime.send({ type: "response.create", response })];
  }

  /**
   * Asks what the memory keeps; `lookback.memory.described` says it.
   * @returns {string | null} The id of the event sent; null while nothing can be asked.
   */
  describe() {
    return this.open && this.#realtime
      ? this.#realtime.send({ type: "lookback.memory.describe" })
      : null;
  }

  /** @param {string | null} response */
  cancel(response) {
    const which = response ? { response_id: response } : {};
    this.#realtime?.send({ type: "response.cancel", ...which });
  }

  #hangUp() {
    this.#flowing = false;
    this.#peer?.close();
    this.#peer = null;
  }

  #drop() {
    this.#hangUp();
    this.#realtime?.close();
    this.#realtime = this.#session = null;
    this.handlers.onSession(null);
  }

  /**
   * A session, then a camera in it, however long that takes.
   * @param {number} wish
   */
  async #establish(wish) {
    this.handlers.onState(this.#session ? "connecting" : "opening", "");
    for (let wait = FIRST_WAIT; wish === this.#wish; wait = Math.min(wait * 2, LONGEST_WAIT)) {
      try {
        if (!this.#session) await this.#openSession(wish);
        if (wish === this.#wish) await this.#sendCamera(wish);
        return;
      } catch (error) {
        if (wish !== this.#wish) return;
        if (error instanceof ApiError && error.status === 404) {
          this.#forgetLost("the server no longer has it");
        } else if (error instanceof ApiError && error.status === 503) {
          wait = Math.max(error.retryAfter ?? 2, 0.5);
          const state = error.code === "no_room" ? "full" : "waiting";
          this.handlers.onState(state, `${error.message} Trying again in ${Math.ceil(wait)} s.`);
        } else if (error instanceof ApiError && error.status < 500) {
          this.handlers.onState("idle", "");
          throw error; // Trying again would not help.
        } else {
          const state = error instanceof Unreachable ? "lost" : "reconnecting";
          this.handlers.onState(state, words(error));
        }
        await sleep(wait);
      }
    }
  }

  /** @param {number} wish */
  async #openSession(wish) {
    const session = await api.openSession(this.handlers.options());
    if (wish !== this.#wish) {
      api.closeOnLeaving(session.id);
      return;
    }
    this.#session = session;
    this.#openedAt = Date.now();
    this.handlers.onSession(session);
    this.#realtime = new Realtime(session.id, {
      onEvent: (event) => this.#hear(event),
      onOpen: (open) => this.#opened(open),
      onGone: () => this.#lost("the server no longer has it"),
    });
  }

  /** @param {number} wish */
  async #sendCamera(wish) {
    const { id } = /** @type {api.Session} */ (this.#session);
    const stream = /** @type {MediaStream} */ (this.#stream);
    this.handlers.onState("connecting", "");
    this.#hangUp();
    const peer = new Peer(() => {
      this.#flowing = false;
      this.handlers.onState("reconnecting", "The video connection broke.");
      void this.#again();
    });
    this.#peer = peer;
    try {
      await peer.connect(stream, (offer) => api.offerCamera(id, offer));
    } catch (error) {
      peer.close();
      throw error;
    }
    if (wish !== this.#wish) return;
    this.#flowing = true;
    this.#opened(this.open);
  }

  /** @param {boolean} open Whether the websocket stands. */
  #opened(open) {
    if (!this.#flowing) return;
    if (open) this.handlers.onState("live", "");
    else this.handlers.onState("reconnecting", "The connection to the server broke.");
  }

  /** @param {ServerEvent} event */
  #hear(event) {
    if (event.type === "lookback.session.closed") {
      this.#lost(event.message || `the server closed it (${event.reason ?? "no reason given"})`);
      return;
    }
    this.handlers.onEvent(event);
    // The server can see the end of a connection that this side still believes in.
    if (event.camera?.state === "gone" && this.#flowing && this.#stream?.active) {
      this.handlers.onState("reconnecting", "The video connection broke.");
      void this.#again();
    }
  }

  /** @param {string} why */
  #lost(why) {
    this.#wish++;
    this.#forgetLost(why);
    if (this.#stream) void this.#again();
    else this.handlers.onState("idle", "");
  }

  /** @param {string} why */
  #forgetLost(why) {
    if (!this.#session) return;
    this.#drop();
    this.handlers.onMemoryLost(why);
  }

  async #again() {
    const wish = ++this.#wish;
    if (Date.now() - this.#openedAt < SHORT_LIFE) await sleep(1 + Math.random());
    try {
      await this.#establish(wish);
    } catch (error) {
      this.handlers.onProblem(words(error));
    }
  }
}
