/**
 * One memory on the server: its events, its questions and answers, its cameras. Its websocket is
 * made again where it breaks, and what was said in the meantime is heard then.
 */

import { Answers } from "./answers.js";
import { Camera } from "./camera.js";
import { ApiError, ConnectionFailed, LookbackError, SessionClosed, Unreachable } from "./errors.js";
import { FramesSender } from "./frames.js";
import { dataUrl, itemEvent, responseEvent } from "./question.js";
import { Realtime } from "./realtime.js";

/** @typedef {import("./answer.js").Answer} Answer */
/** @typedef {import("./events.js").CameraStatus} CameraStatus */
/** @typedef {import("./events.js").Memory} Memory */
/** @typedef {import("./events.js").ServerEvent} ServerEvent */
/** @typedef {import("./events.js").SessionDescription} SessionDescription */
/** @typedef {import("./http.js").Http} Http */
/** @typedef {import("./question.js").AskOptions} AskOptions */

/**
 * @typedef {object} SessionToken
 * @property {string} token
 * @property {number} expires_at Seconds since 1970.
 * @property {string[]} scopes
 * @property {string} session
 */

/**
 * @typedef {object} SessionEvents
 * @property {ServerEvent} event Every event of the server.
 * @property {Memory} memory How full it is, about once a second.
 * @property {CameraStatus} camera The state of the session's camera, whoever sends.
 * @property {Answer} answer An answer that somebody else has asked for.
 * @property {boolean} connection Whether the websocket stands, at each change.
 * @property {LookbackError} closed The session is over, and why.
 */

const ANSWER_LIMIT = 10_000; // milliseconds without a word after a broken connection

export class Session {
  #http;
  /** @type {Realtime | null} */
  #realtime = null;
  /** @type {Camera | null} */
  #camera = null;
  /** @type {FramesSender | null} */
  #frames = null;
  /** @type {Map<string, Set<(value: any) => void>>} */
  #listeners = new Map();
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #answerTimer;
  #over = false;
  #answers = new Answers(
    (answer) => this.#tell("answer", answer),
    (response) => this.#cancel(response),
  );

  /**
   * Use `Lookback.open` and `Lookback.join` instead.
   * @param {Http} http
   * @param {SessionDescription} described
   */
  constructor(http, described) {
    this.#http = http;
    this.described = described;
  }

  get id() {
    return this.described.id;
  }

  /** Whether a question can be sent now. */
  get open() {
    return this.#realtime?.open ?? false;
  }

  /** The stream that is being published by WebRTC, if any. */
  get camera() {
    return this.#camera;
  }

  /**
   * @template {keyof SessionEvents} Name
   * @param {Name} name
   * @param {(value: SessionEvents[Name]) => void} listener
   * @returns {() => void} Call it to hear no more.
   */
  on(name, listener) {
    const listeners = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, listeners.add(listener));
    return () => listeners.delete(listener);
  }

  /**
   * Opens the websocket.
   * @param {string} [after] Hears what was said since this event; "event_0": everything.
   * @returns {Promise<void>} When it stands.
   * @throws {LookbackError} Where it cannot be had.
   */
  listen(after = "") {
    return new Promise((resolve, reject) => {
      this.#realtime ??= new Realtime(this.#http, this.id, after, {
        onEvent: (event) => this.#hear(event),
        onOpen: (open) => {
          if (open) resolve();
          this.#opened(open);
        },
        onGone: (error) => {
          reject(error);
          this.#end(error);
        },
      });
    });
  }

  /**
   * Asks about what was seen, now or long ago.
   * @param {string} question
   * @param {AskOptions} [options]
   * @returns {Answer} `for await` gives its pieces.
   */
  ask(question, options = {}) {
    const { signal, pictures = [] } = options;
    const { answer, events } = this.#answers.ask(question);
    const abort = () => {
      answer.cancel();
      answer.update({ status: "cancelled", error: signal?.reason });
    };
    signal?.addEventListener("abort", abort, { once: true });
    /** @param {unknown} error */
    const fail = (error) => answer.update({ status: "failed", error });
    /** @param {string[]} urls */
    const send = (urls) => {
      if (signal?.aborted) return abort();
      try {
        events.push(...this.#send(question, urls, options));
      } catch (error) {
        this.#answers.drop(answer);
        fail(error);
      }
    };
    if (pictures.length === 0) send([]);
    else void Promise.all(pictures.map(dataUrl)).then(send, fail);
    return answer;
  }

  /**
   * Sends an event of the Realtime API that has no method here.
   * @param {import("./events.js").ClientEvent} event
   * @returns {string} The event's id, which an error about it carries.
   * @throws {Unreachable} While there is no connection.
   */
  send(event) {
    if (!this.#realtime) throw new Unreachable();
    return this.#realtime.send(event);
  }

  /**
   * Asks what the memory keeps; the event `lookback.memory.described` says it.
   * @returns {string | null} The id of the event sent; null while nothing can be asked.
   */
  describe() {
    return this.open ? this.send({ type: "lookback.memory.describe" }) : null;
  }

  /**
   * Publishes a stream's picture by WebRTC; it takes the place of the session's camera.
   * @param {MediaStream} stream
   * @param {{onState?: import("./camera.js").OnCamera}} [options]
   * @returns {Promise<Camera>} When it flows. It is connected again where the connection breaks.
   * @throws {LookbackError}
   */
  async publish(stream, { onState } = {}) {
    this.unpublish();
    /** @type {import("./camera.js").OnCamera} */
    const told = (state, error) => onState?.(state, error);
    const camera = new Camera(this.#http, this.described, stream, told);
    this.#camera = camera;
    await camera.connect();
    return camera;
  }

  /** Stops the stream that is being published, if any; the memory stays. */
  unpublish() {
    this.#camera?.close();
    this.#camera = null;
  }

  /**
   * Publishes single pictures by websocket.
   * @returns {Promise<FramesSender>} When they can be sent.
   * @throws {LookbackError}
   */
  async frames() {
    const sender = new FramesSender(this.#http, this.id);
    this.#frames = sender;
    await sender.opened();
    return sender;
  }

  /**
   * Makes a token with which another program may use this session, and no other.
   * @param {("publish" | "ask")[]} scopes
   * @param {number} [expiresIn] Seconds.
   * @returns {Promise<SessionToken>}
   * @throws {ApiError}
   */
  async token(scopes, expiresIn = 3600) {
    const body = { scopes, expires_in: expiresIn };
    return (await this.#http.post(`${this.#path}/tokens`, body)).json();
  }

  /**
   * Its memory, as it is now, as a file for `Lookback.import`. The session goes on.
   * @param {"exact" | "8-bit" | "entropy"} [option] The latter two are smaller, and not quite it.
   * @returns {Promise<Blob>}
   * @throws {LookbackError}
   */
  async export(option = "exact") {
    const response = await this.#http.call(`${this.#path}/snapshot?option=${option}`);
    try {
      return await response.blob();
    } catch {
      throw new ConnectionFailed("the file broke off.", "connection_lost");
    }
  }

  /** @returns {URL} Where OBS, GStreamer and glasses publish to this session. */
  get whip() {
    return this.#http.address(`whip/${encodeURIComponent(this.id)}`);
  }

  /** Stops listening and sending. The memory stays as long as others use it. */
  leave() {
    this.#over = true;
    this.unpublish();
    this.#frames?.close();
    this.#realtime?.close();
    clearTimeout(this.#answerTimer);
    this.#answers.interrupt(new SessionClosed("its memory is gone.", "left"));
  }

  /**
   * Frees the memory.
   * @param {{keepalive?: boolean}} [options] `keepalive`: also where the page goes away just now.
   * @throws {LookbackError}
   */
  async close({ keepalive = false } = {}) {
    this.leave();
    try {
      await this.#http.call(this.#path, { method: "DELETE", keepalive });
    } catch (error) {
      // An unreachable server frees an abandoned session by itself.
      if (error instanceof ApiError && error.status !== 404) throw error;
    }
  }

  get #path() {
    return `v1/sessions/${encodeURIComponent(this.id)}`;
  }

  /**
   * @param {string} question
   * @param {string[]} urls
   * @param {AskOptions} options
   * @returns {string[]} The ids of the events sent: an error about the question names one of them.
   */
  #send(question, urls, options) {
    const asked = this.send(itemEvent(question, urls));
    return [asked, this.send(responseEvent(asked, options))];
  }

  /** @param {string} response */
  #cancel(response) {
    try {
      this.send({ type: "response.cancel", response_id: response });
    } catch {
      this.#answers.interrupt(new ConnectionFailed("the connection broke.", "connection_lost"));
    }
  }

  /** @param {boolean} open */
  #opened(open) {
    clearTimeout(this.#answerTimer);
    if (!open && this.#answers.awaited) {
      // The end of an answer may never come.
      this.#answerTimer = setTimeout(() => {
        const why = "the connection broke while it was being written. Ask again.";
        this.#answers.interrupt(new ConnectionFailed(why, "connection_lost"));
      }, ANSWER_LIMIT);
    }
    this.#tell("connection", open);
  }

  /** @param {ServerEvent} event */
  #hear(event) {
    if (event.type === "lookback.session.closed") {
      const why = event.message || `the server closed it (${event.reason ?? "no reason given"})`;
      this.#end(new SessionClosed(why, event.reason ?? "closed"));
      return;
    }
    if (this.#answers.hear(event)) clearTimeout(this.#answerTimer);
    if (event.type === "lookback.memory.updated" && event.memory) this.#tell("memory", event.memory);
    if (event.type === "lookback.camera.updated" && event.camera) {
      this.#camera?.hear(event.camera);
      this.#tell("camera", event.camera);
    }
    this.#tell("event", event);
  }

  /** @param {LookbackError} error */
  #end(error) {
    if (this.#over) return;
    this.leave();
    this.#tell("closed", error);
  }

  /**
   * @template {keyof SessionEvents} Name
   * @param {Name} name
   * @param {SessionEvents[Name]} value
   */
  #tell(name, value) {
    for (const listener of [...(this.#listeners.get(name) ?? [])]) listener(value);
  }
}
