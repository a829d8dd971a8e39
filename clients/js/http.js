/**
 * The gateway over HTTP: addresses, credentials, and errors of one kind.
 */

import { ApiError, Unreachable } from "./errors.js";

/**
 * @typedef {object} Credentials
 * @property {string | null} [token] An API key, or a token of one session.
 * @property {(error: ApiError) => Promise<string | null>} [authorize] Is asked for another token
 *   when the server wants one, or another; null gives up.
 */

/**
 * @param {Response} response
 * @returns {Promise<ApiError>}
 */
async function failure(response) {
  /** @type {unknown} */
  const body = await response.json().catch(() => null);
  const told = /** @type {{error?: {message?: string, code?: string,
    lookback?: {queue_position: number, ticket: string}}} | null} */ (body);
  // An unset header is null, and Number(null) is 0.
  const after = response.headers.get("Retry-After");
  const seconds = after === null ? Number.NaN : Number(after);
  return new ApiError(
    told?.error?.message || `The server answered ${response.status} ${response.statusText}.`,
    told?.error?.code ?? "",
    response.status,
    Number.isFinite(seconds) ? seconds : null,
    told?.error?.lookback?.ticket ? told.error.lookback : null,
  );
}

export class Http {
  #base;
  /** @type {string | null} */
  #token;
  #authorize;
  /** @type {Promise<string | null> | null} */
  #asking = null;

  /**
   * @param {string | URL} base The gateway's address, with its path where it has one.
   * @param {Credentials} credentials
   */
  constructor(base, { token, authorize }) {
    this.#base = new URL(base);
    if (!this.#base.pathname.endsWith("/")) this.#base.pathname += "/";
    this.#token = token || null;
    this.#authorize = authorize;
  }

  get token() {
    return this.#token;
  }

  /**
   * @param {string} path
   * @returns {URL}
   */
  address(path) {
    return new URL(path, this.#base);
  }

  /**
   * @param {string} path
   * @param {Record<string, string>} query
   * @returns {WebSocket} Credentials go as a subprotocol: browsers set no headers on websockets.
   */
  socket(path, query) {
    const url = this.address(path);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
    const token = this.#token;
    return new WebSocket(url, token ? ["realtime", `openai-insecure-api-key.${token}`] : []);
  }

  /**
   * @param {string} path
   * @param {RequestInit} [init]
   * @returns {Promise<Response>} Of a success.
   * @throws {ApiError} For any other answer.
   * @throws {Unreachable} Where there is none.
   */
  async call(path, init) {
    for (;;) {
      const token = this.#token;
      const response = await this.#fetch(path, init, token);
      if (response.ok) return response;
      const error = await failure(response);
      if (error.status !== 401 || !(await this.#renewed(token, error))) throw error;
    }
  }

  /**
   * @param {string} path
   * @param {unknown} body
   */
  post(path, body) {
    return this.call(path, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
    });
  }

  /**
   * @param {string} path
   * @param {RequestInit | undefined} init
   * @param {string | null} token
   */
  async #fetch(path, init, token) {
    const headers = new Headers(init?.headers);
    if (token) headers.set("Authorization", `Bearer ${token}`);
    try {
      return await fetch(this.address(path), { cache: "no-store", ...init, headers });
    } catch {
      throw new Unreachable();
    }
  }

  /**
   * @param {string | null} refused The token that was not good enough.
   * @param {ApiError} error
   * @returns {Promise<boolean>} Whether there is another one now.
   */
  async #renewed(refused, error) {
    if (this.#token !== refused) return true;
    if (!this.#authorize) return false;
    // Several calls may be refused at once, and one question is enough.
    this.#asking ??= this.#authorize(error).finally(() => {
      this.#asking = null;
    });
    const token = await this.#asking;
    if (!token) return false;
    this.#token = token;
    return true;
  }
}
