/**
 * The gateway: sessions are opened and joined here.
 */

import { Http } from "./http.js";
import { Session } from "./session.js";

/** @typedef {import("./http.js").Credentials} ClientOptions */
/** @typedef {import("./events.js").SessionDescription} SessionDescription */
/** @typedef {import("./events.js").SessionOptions} SessionOptions */
/** @typedef {import("./events.js").Wanted} Wanted */

/**
 * A worker that can take a session.
 * @typedef {Wanted & {model: string}} Ready
 */

export class Lookback {
  #http;

  /**
   * @param {string | URL} base The gateway's address.
   * @param {ClientOptions} [options]
   */
  constructor(base, options = {}) {
    this.#http = new Http(base, options);
  }

  /** The credentials in use, if any. */
  get token() {
    return this.#http.token;
  }

  /**
   * @returns {Promise<Ready>} When a session can be opened.
   * @throws {import("./errors.js").ApiError} 503 while there is no model.
   */
  async ready() {
    const { worker, sampled_per_second } = await (await this.#http.call("ready")).json();
    return { ...worker, sampled_per_second };
  }

  /**
   * Reserves a memory.
   * @param {SessionOptions} [options]
   * @returns {Promise<Session>} Once its websocket stands.
   * @throws {import("./errors.js").LookbackError}
   */
  async open(options = {}) {
    const session = await this.reserve(options);
    await session.listen();
    return session;
  }

  /**
   * As `open`, without its websocket: `session.listen()` opens that.
   * @param {SessionOptions} [options]
   * @returns {Promise<Session>}
   */
  async reserve(options = {}) {
    const described = await (await this.#http.post("v1/sessions", options)).json();
    return new Session(this.#http, described);
  }

  /**
   * A new session that goes on with the memory in a file, which `Session.export` has given.
   * @param {Blob} file
   * @param {{listen?: boolean, ticket?: string}} [options] `ticket`: as with `open`.
   * @returns {Promise<Session>}
   * @throws {import("./errors.js").LookbackError}
   */
  async import(file, { listen = true, ticket } = {}) {
    const query = ticket ? `?${new URLSearchParams({ ticket })}` : "";
    const headers = { "Content-Type": "application/octet-stream" };
    const init = { method: "POST", headers, body: file };
    const made = await this.#http.call(`v1/sessions/import${query}`, init);
    const session = new Session(this.#http, await made.json());
    if (listen) await session.listen();
    return session;
  }

  /**
   * Joins a session that somebody else has opened.
   * @param {string} id
   * @param {{listen?: boolean, after?: string}} [options] `listen`: false for one that only
   *   publishes. `after`: hears what was said since this event; "event_0": all of it.
   * @returns {Promise<Session>}
   * @throws {import("./errors.js").LookbackError}
   */
  async join(id, { listen = true, after } = {}) {
    const path = `v1/sessions/${encodeURIComponent(id)}`;
    const session = new Session(this.#http, await (await this.#http.call(path)).json());
    if (listen) await session.listen(after);
    return session;
  }
}
