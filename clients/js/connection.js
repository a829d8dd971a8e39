/**
 * A session that a page keeps alive: opened however long that takes, opened again where it is
 * lost, and its camera connected again. Or one that was joined, which cannot be had again.
 */

import { ApiError, LookbackError, Unreachable } from "./errors.js";

/** @typedef {import("./camera.js").CameraState} CameraState */
/** @typedef {import("./client.js").Lookback} Lookback */
/** @typedef {import("./events.js").SessionOptions} SessionOptions */
/** @typedef {import("./session.js").Session} Session */

/**
 * `open`: a memory without a camera of this page. `waiting`: there is no model yet. `full`: there
 * is no room. `lost`: there is no server.
 * @typedef {"idle" | "open" | "opening" | "waiting" | "full" | "lost" | "connecting" | "live" |
 *   "reconnecting"} State
 */

/**
 * @typedef {object} ConnectionHandlers
 * @property {() => SessionOptions} options Those of a session that is opened now.
 * @property {(state: State, error: LookbackError | null) => void} onState
 * @property {(session: Session | null) => void} onSession Before its first event.
 * @property {(why: LookbackError) => void} onMemoryLost
 * @property {(error: unknown) => void} onProblem
 * @property {() => void} onReplaced Another camera has taken the place of this page's.
 */

const FIRST_WAIT = 0.5; // seconds
const LONGEST_WAIT = 8; // seconds
const SHORT_LIFE = 10_000; // milliseconds; a session that dies sooner is replaced more slowly

/** @param {number} seconds */
const sleep = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));

export class Connection {
  /** @type {Session | null} */
  #session = null;
  /** @type {MediaStream | null} */
  #stream = null;
  /** @type {CameraState} */
  #camera = "closed";
  #wanted = false;
  #joined = false;
  // Every new wish of the user has a new number; what was begun under an older one ends quietly.
  #wish = 0;
  #openedAt = 0;
  /** @type {string | undefined} Keeps the place in the queue for a free worker. */
  #ticket;

  /**
   * @param {Lookback} lookback
   * @param {ConnectionHandlers} handlers
   */
  constructor(lookback, handlers) {
    this.lookback = lookback;
    this.handlers = handlers;
  }

  get session() {
    return this.#session;
  }

  /** Whether the session is somebody else's: it is left, and never closed. */
  get joined() {
    return this.#joined;
  }

  /** Whether others were let in: then this page does not close it by going away. */
  shared = false;

  /**
   * Sends this stream, in the session that there is or in a new one: `live` when it flows.
   * @param {MediaStream} stream
   */
  async watch(stream) {
    const wish = ++this.#wish;
    this.#wanted = true;
    this.#hangUp();
    this.#stream = stream;
    await this.#establish(wish);
  }

  /** Opens a session for the cameras of others: `open` when they may come. */
  async begin() {
    const wish = ++this.#wish;
    this.#wanted = true;
    await this.#establish(wish);
  }

  /**
   * Joins somebody else's session, with what was said there so far.
   * @param {string} id
   * @throws {LookbackError}
   */
  async join(id) {
    const wish = ++this.#wish;
    this.#joined = true;
    this.handlers.onState("opening", null);
    const session = await this.lookback.join(id, { listen: false });
    if (wish === this.#wish) this.#use(session, "event_0");
  }

  /** Stops sending; the memory stays. */
  pause() {
    this.#wish++;
    this.#hangUp();
    this.handlers.onState(this.#session ? "open" : "idle", null);
  }

  /** Closes the session, and with it the memory. */
  async forget() {
    const old = this.#session;
    this.#wish++;
    this.#drop();
    await old?.close().catch(this.handlers.onProblem);
  }

  /** The page goes away. */
  leave() {
    const old = this.#joined || this.shared ? null : this.#session;
    this.#wish++;
    this.#drop();
    // Nobody is there any more who could be told of a failure.
    old?.close({ keepalive: true }).catch(() => undefined);
  }

  #hangUp() {
    this.#stream = null;
    this.#camera = "closed";
    this.#session?.unpublish();
  }

  #drop() {
    const old = this.#session;
    this.#session = null;
    this.#camera = "closed";
    this.shared = false;
    old?.leave();
    this.handlers.onSession(null);
  }

  /**
   * A session, then a camera in it, however long that takes.
   * @param {number} wish
   */
  async #establish(wish) {
    this.handlers.onState(this.#session ? "connecting" : "opening", null);
    for (let wait = FIRST_WAIT; wish === this.#wish; wait = Math.min(wait * 2, LONGEST_WAIT)) {
      try {
        if (!this.#session) await this.#open(wish);
        if (wish === this.#wish && this.#stream) await this.#publish(wish, this.#stream);
        return;
      } catch (error) {
        if (wish !== this.#wish) return;
        const known = error instanceof LookbackError ? error : new Unreachable();
        const status = error instanceof ApiError ? error.status : 0;
        if (error instanceof ApiError) this.#ticket = error.waiting?.ticket;
        if (status === 404 && this.#session) {
          this.#lost(known);
          return;
        } else if (status > 0 && status < 500 && status !== 429) {
          this.handlers.onState(this.#session ? "open" : "idle", null);
          throw error; // Trying again would not help.
        }
        if (status === 503) wait = Math.max(known.retryAfter ?? 2, FIRST_WAIT);
        const busy = ["no_room", "queue_full"].includes(known.code) ? "full" : "waiting";
        const state = known instanceof Unreachable ? "lost" : "reconnecting";
        this.handlers.onState(status === 503 ? busy : state, known);
        await sleep(wait);
      }
    }
  }

  /** @param {number} wish */
  async #open(wish) {
    const options = this.handlers.options();
    const ticket = this.#ticket;
    this.#ticket = undefined;
    const session = await this.lookback.reserve(ticket ? { ...options, ticket } : options);
    if (wish !== this.#wish) {
      session.close({ keepalive: true }).catch(() => undefined);
      return;
    }
    this.#joined = false;
    this.#openedAt = Date.now();
    this.#use(session, "");
  }

  /**
   * @param {Session} session
   * @param {string} after
   */
  #use(session, after) {
    this.#session = session;
    session.on("closed", (error) => this.#lost(error));
    session.on("connection", () => this.#show());
    this.handlers.onSession(session);
    // What goes wrong with it is told as `closed`.
    session.listen(after).catch(() => undefined);
  }

  /**
   * @param {number} wish
   * @param {MediaStream} stream
   */
  async #publish(wish, stream) {
    const session = /** @type {Session} */ (this.#session);
    this.handlers.onState("connecting", null);
    await session.publish(stream, {
      onState: (state, error) => {
        if (this.#stream === stream && wish === this.#wish) this.#filmed(state, error);
      },
    });
  }

  /**
   * @param {CameraState} state
   * @param {LookbackError | null} error
   */
  #filmed(state, error) {
    this.#camera = state;
    if (state === "replaced") {
      this.#wish++;
      this.#hangUp();
      this.handlers.onReplaced();
    } else if (state === "failed" && error) {
      if (error instanceof ApiError && error.status === 404) return this.#lost(error);
      this.#hangUp();
      this.handlers.onProblem(error);
    } else if (state === "reconnecting" && error) {
      this.handlers.onState(error instanceof Unreachable ? "lost" : "reconnecting", error);
      return;
    }
    this.#show();
  }

  /** Tells what both connections make together. */
  #show() {
    const session = this.#session;
    if (!session) return;
    const broken = !session.open;
    if (this.#camera === "reconnecting" || (broken && this.#camera === "live")) {
      const what = broken ? "The connection to the server broke." : "The video connection broke.";
      this.handlers.onState("reconnecting", new LookbackError(what, "connection_lost"));
    } else if (this.#camera === "live") {
      this.handlers.onState("live", null);
    } else if (!this.#stream && session.open) {
      this.handlers.onState("open", null);
    } else if (!this.#stream && broken) {
      const what = "The connection to the server broke.";
      this.handlers.onState("reconnecting", new LookbackError(what, "connection_lost"));
    }
  }

  /** @param {LookbackError} error */
  #lost(error) {
    if (!this.#session) return;
    this.#wish++;
    const why = error.code === "unknown_session" && error instanceof ApiError
      ? new LookbackError("the server no longer has it", error.code)
      : error;
    this.#drop();
    const refused = error instanceof ApiError && error.status !== 404;
    if (refused) this.handlers.onProblem(error);
    else this.handlers.onMemoryLost(why);
    if (this.#wanted && this.#stream && !this.#joined && !refused) void this.#again();
    else this.handlers.onState("idle", null);
  }

  async #again() {
    const wish = ++this.#wish;
    if (Date.now() - this.#openedAt < SHORT_LIFE) await sleep(1 + Math.random());
    try {
      await this.#establish(wish);
    } catch (error) {
      this.handlers.onProblem(error);
    }
  }
}
