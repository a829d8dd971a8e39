/**
 * A MediaStream's picture on its way to a session by WebRTC: connected again where the connection
 * breaks, until it is closed, another camera takes over, or the session is gone.
 */

import { ApiError, LookbackError, Unreachable } from "./errors.js";
import { Peer } from "./peer.js";

/** @typedef {import("./events.js").CameraStatus} CameraStatus */
/** @typedef {import("./events.js").SessionDescription} SessionDescription */
/** @typedef {import("./http.js").Http} Http */

/** @typedef {"connecting" | "live" | "reconnecting" | "replaced" | "closed" | "failed"} CameraState */

/** @typedef {(state: CameraState, error: LookbackError | null) => void} OnCamera */

const FIRST_WAIT = 0.5; // seconds
const LONGEST_WAIT = 8; // seconds

/** @param {number} seconds */
const sleep = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));

export class Camera {
  /** @type {CameraState} */
  state = "connecting";
  /** The server's number of this camera; another one has a higher number. */
  number = 0;
  /** @type {Peer | null} */
  #peer = null;
  #latest = 0;
  #http;
  #session;
  #onState;

  /**
   * @param {Http} http
   * @param {SessionDescription} session
   * @param {MediaStream} stream
   * @param {OnCamera} onState Told at each change.
   */
  constructor(http, session, stream, onState) {
    this.#http = http;
    this.#session = session;
    this.stream = stream;
    this.#onState = onState;
  }

  /**
   * @returns {Promise<void>} When media can flow.
   * @throws {LookbackError} Where it cannot; nothing is tried again.
   */
  async connect() {
    const [track] = this.stream.getVideoTracks();
    if (!track) throw new LookbackError("The stream has no picture.", "no_picture");
    // Letters on a screen want sharp edges more than they want motion.
    if (!track.contentHint && track.getSettings().displaySurface) track.contentHint = "detail";
    // Asked for each time: what they want to be told of who comes may last for an hour only.
    const { ice_servers: iceServers } = await (await this.#http.call("v1/ice-servers")).json();
    if (this.#over) return;
    const peer = new Peer(this.#session, iceServers, () => this.#lost());
    this.#peer?.close();
    this.#peer = peer;
    try {
      await peer.connect(track, this.stream, (offer) => this.#offer(offer));
    } catch (error) {
      peer.close();
      throw error;
    }
    if (this.#peer === peer && !this.#over) this.#become("live");
    else peer.close();
  }

  /** Ends it; the memory stays. */
  close() {
    if (!this.#over) this.#end("closed");
  }

  /** @returns {Promise<RTCStatsReport | null>} WebRTC's numbers of the present connection. */
  async stats() {
    return (await this.#peer?.stats()) ?? null;
  }

  /**
   * The server says something about the session's camera, which may be this one.
   * @param {CameraStatus} camera
   */
  hear(camera) {
    this.#latest = Math.max(this.#latest, camera.number);
    if (this.state !== "live") return;
    if (this.#latest > this.number) this.#end("replaced");
    // The server can see the end of a connection that this side still believes in.
    else if (camera.state === "gone" && this.stream.active) this.#lost();
  }

  get #over() {
    return ["replaced", "closed", "failed"].includes(this.state);
  }

  /** @param {RTCSessionDescriptionInit} offer With its candidates inside. */
  async #offer({ sdp, type }) {
    const path = `v1/sessions/${encodeURIComponent(this.#session.id)}/offer`;
    const answer = await (await this.#http.post(path, { sdp, type })).json();
    this.number = answer.camera;
    return { sdp: answer.sdp, type: answer.type };
  }

  /**
   * @param {CameraState} state
   * @param {LookbackError | null} [error]
   */
  #become(state, error = null) {
    if (this.state === state && !error) return;
    this.state = state;
    this.#onState(state, error);
  }

  /**
   * @param {CameraState} state
   * @param {LookbackError} [error]
   */
  #end(state, error) {
    this.#peer?.close();
    this.#peer = null;
    this.#become(state, error);
  }

  #lost() {
    if (this.#over) return;
    if (this.#latest > this.number) return this.#end("replaced");
    this.#become("reconnecting");
    return void this.#again();
  }

  async #again() {
    for (let wait = FIRST_WAIT; !this.#over; wait = Math.min(wait * 2, LONGEST_WAIT)) {
      try {
        return await this.connect();
      } catch (error) {
        const known = error instanceof LookbackError ? error : new Unreachable();
        if (this.#over) return;
        const status = error instanceof ApiError ? error.status : 500;
        if (status < 500 && status !== 429) return this.#end("failed", known);
        this.#become("reconnecting", known);
        await sleep(known.retryAfter ?? wait);
      }
    }
  }
}
