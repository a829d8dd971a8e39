/**
 * One WebRTC connection that carries one picture track to the server.
 */

import { ConnectionFailed } from "./errors.js";
import { limit } from "./sending.js";

/** @typedef {import("./events.js").Wanted} Wanted */

const GATHERING_LIMIT = 2000; // milliseconds
const CONNECT_LIMIT = 10_000; // milliseconds
const DISCONNECTED_LIMIT = 3000; // milliseconds
const LOOK = 2000; // milliseconds between looks at the picture's size

const NO_WAY =
  "The video found no way from this browser to the server. A firewall or a VPN may block UDP " +
  "between them. Trying again…";

/**
 * @param {RTCPeerConnection} connection
 * @returns {Promise<void>} When all candidates are known, or the limit is reached.
 */
function gathered(connection) {
  return new Promise((resolve) => {
    const check = () => {
      if (connection.iceGatheringState === "complete") resolve();
    };
    connection.addEventListener("icegatheringstatechange", check);
    setTimeout(resolve, GATHERING_LIMIT);
    check();
  });
}

export class Peer {
  /** @type {RTCPeerConnection} */
  #connection;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #looking;
  #closed = false;

  /**
   * @param {Wanted} wanted
   * @param {RTCIceServer[]} iceServers
   * @param {() => void} onLost Called once, when a connection that stood has failed.
   */
  constructor(wanted, iceServers, onLost) {
    this.wanted = wanted;
    this.onLost = onLost;
    this.#connection = new RTCPeerConnection({ iceServers });
  }

  /**
   * @param {MediaStreamTrack} track
   * @param {MediaStream} stream
   * @param {(offer: RTCSessionDescriptionInit) => Promise<RTCSessionDescriptionInit>} exchange
   * @returns {Promise<void>} When media can flow.
   */
  async connect(track, stream, exchange) {
    const connection = this.#connection;
    const { sender } = connection.addTransceiver(track, {
      direction: "sendonly",
      streams: [stream],
    });
    await connection.setLocalDescription();
    await gathered(connection);
    const offer = connection.localDescription;
    if (!offer) throw new ConnectionFailed("The connection was closed.", "closed");
    await connection.setRemoteDescription(await exchange(offer));
    await limit(sender, this.wanted);
    await this.#connected();
    // A shared window may be resized, and a phone turned.
    this.#looking = setInterval(() => void limit(sender, this.wanted), LOOK);
    connection.addEventListener("connectionstatechange", () => this.#watch());
    this.#watch();
  }

  /** @returns {Promise<RTCStatsReport>} */
  stats() {
    return this.#connection.getStats();
  }

  close() {
    this.#closed = true;
    clearTimeout(this.#timer);
    clearInterval(this.#looking);
    this.#connection.close();
  }

  /** @returns {Promise<void>} */
  #connected() {
    const connection = this.#connection;
    return new Promise((resolve, reject) => {
      const fail = () => reject(new ConnectionFailed(NO_WAY, "no_way", 1));
      const timer = setTimeout(fail, CONNECT_LIMIT);
      const check = () => {
        const state = connection.connectionState;
        if (state !== "new" && state !== "connecting") clearTimeout(timer);
        if (state === "connected") resolve();
        if (state === "failed" || state === "closed") fail();
      };
      connection.addEventListener("connectionstatechange", check);
      check();
    });
  }

  #watch() {
    const state = this.#connection.connectionState;
    clearTimeout(this.#timer);
    if (this.#closed || state === "connected") return;
    // A disconnected one often comes back by itself.
    const wait = state === "disconnected" ? DISCONNECTED_LIMIT : 0;
    this.#timer = setTimeout(() => {
      if (this.#closed) return;
      this.close();
      this.onLost();
    }, wait);
  }
}
