/**
 * One WebRTC connection that carries one picture track to the server.
 */

import { Unsupported } from "./errors.js";

const GATHERING_LIMIT = 2000; // milliseconds
const CONNECT_LIMIT = 10_000; // milliseconds
const DISCONNECTED_LIMIT = 3000; // milliseconds

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

/**
 * Blur is worse than a low frame rate for a model that looks once a second.
 * @param {RTCRtpSender} sender
 */
async function keepResolution(sender) {
  try {
    const parameters = sender.getParameters();
    parameters.degradationPreference = "maintain-resolution";
    await sender.setParameters(parameters);
  } catch (error) {
    // A wish only: browsers without it send as they do.
    console.debug("degradationPreference is not supported", error);
  }
}

export class Peer {
  /** @type {RTCPeerConnection} */
  #connection;
  #timer = 0;
  #closed = false;

  /** @param {() => void} onLost Called once, when a connection that stood has failed. */
  constructor(onLost) {
    this.onLost = onLost;
    this.#connection = new RTCPeerConnection({ iceServers: [] });
  }

  /**
   * @param {MediaStream} stream
   * @param {(offer: RTCSessionDescriptionInit) => Promise<RTCSessionDescriptionInit>} exchange
   * @returns {Promise<void>} When media can flow.
   */
  async connect(stream, exchange) {
    const connection = this.#connection;
    const [track] = stream.getVideoTracks();
    if (!track) throw new Error("there is no picture to send");
    const { sender } = connection.addTransceiver(track, {
      direction: "sendonly",
      streams: [stream],
    });
    await connection.setLocalDescription();
    await gathered(connection);
    const offer = connection.localDescription;
    if (!offer) throw new Error("the connection was closed");
    await connection.setRemoteDescription(await exchange(offer));
    await keepResolution(sender);
    await this.#connected();
    connection.addEventListener("connectionstatechange", () => this.#watch());
    this.#watch();
  }

  close() {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#connection.close();
  }

  /** @returns {Promise<void>} */
  #connected() {
    const connection = this.#connection;
    return new Promise((resolve, reject) => {
      const fail = () => reject(new Unsupported(NO_WAY));
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
    this.#timer = window.setTimeout(() => {
      if (this.#closed) return;
      this.close();
      this.onLost();
    }, wait);
  }
}
