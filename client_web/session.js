/**
 * The session over HTTP: opened, offered a camera, closed. Knows nothing about the page.
 */

import { ApiError, Unreachable } from "./errors.js";

/**
 * A memory on the server.
 * @typedef {object} Session
 * @property {string} id
 * @property {string} model
 * @property {number} budget_tokens
 * @property {number} cap_tokens What visual memory never exceeds.
 * @property {number} kv_bytes The size of its buffer.
 */

/**
 * What a session can be opened with.
 * @typedef {object} SessionOptions
 * @property {string} [instructions] What the model is told before every question.
 */

/**
 * A question that fits the sample clip.
 * @typedef {object} SampleQuestion
 * @property {number} at Seconds into the clip.
 * @property {string} question
 * @property {string} expected
 */

/**
 * @param {string} path Below the page's own address.
 * @returns {URL}
 */
export function address(path) {
  return new URL(path, document.baseURI);
}

/**
 * @param {string} path
 * @param {RequestInit} [init]
 * @returns {Promise<Response>} Of a success.
 * @throws {ApiError} For any other answer.
 * @throws {Unreachable} Where there is none.
 */
async function call(path, init) {
  /** @type {Response} */
  let response;
  try {
    response = await fetch(address(path), { cache: "no-store", ...init });
  } catch {
    throw new Unreachable();
  }
  if (response.ok) return response;
  /** @type {unknown} */
  const body = await response.json().catch(() => null);
  const told = /** @type {{error?: {message?: string, code?: string}} | null} */ (body);
  // Browsers report an unset header as null and Number(null) is 0.
  const after = response.headers.get("Retry-After");
  const seconds = after === null ? Number.NaN : Number(after);
  throw new ApiError(
    response.status,
    told?.error?.message || `The server answered ${response.status} ${response.statusText}.`,
    told?.error?.code ?? "",
    Number.isFinite(seconds) ? seconds : null,
  );
}

/**
 * @param {string} path
 * @param {unknown} body
 */
function post(path, body) {
  return call(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
}

/** Resolves when a worker is ready; otherwise throws as `call` does. */
export async function ready() {
  try {
    await call("ready");
  } catch (error) {
    if (!(error instanceof ApiError) || error.status !== 503) throw error;
    throw new ApiError(503, "The model is not ready yet. This page goes on by itself when it is.");
  }
}

/**
 * @param {SessionOptions} options
 * @returns {Promise<Session>}
 */
export async function openSession(options) {
  return (await post("v1/sessions", options)).json();
}

/**
 * @param {string} id
 * @returns {Promise<boolean>} Whether the server still has it.
 */
export async function sessionExists(id) {
  try {
    await call(`v1/sessions/${encodeURIComponent(id)}`);
    return true;
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return false;
    throw error;
  }
}

/**
 * @param {string} id
 * @param {RTCSessionDescriptionInit} offer With its candidates inside.
 * @returns {Promise<RTCSessionDescriptionInit>} The answer.
 */
export async function offerCamera(id, offer) {
  const body = { sdp: offer.sdp, type: offer.type };
  return (await post(`v1/sessions/${encodeURIComponent(id)}/offer`, body)).json();
}

/** @param {string} id A session that may be gone already. */
export async function deleteSession(id) {
  try {
    await call(`v1/sessions/${encodeURIComponent(id)}`, { method: "DELETE" });
  } catch (error) {
    // An unreachable server frees an abandoned session by itself.
    if (error instanceof ApiError && error.status !== 404) throw error;
  }
}

/**
 * Frees the memory of a page that is going away; a beacon outlives the page.
 * @param {string} id
 */
export function closeOnLeaving(id) {
  navigator.sendBeacon(address(`v1/sessions/${encodeURIComponent(id)}/close`));
}

/** @returns {Promise<SampleQuestion[]>} None where the server has no list. */
export async function sampleQuestions() {
  try {
    const list = await (await call("sample.json")).json();
    return Array.isArray(list.questions) ? list.questions : [];
  } catch {
    return [];
  }
}
