/**
 * Pictures to a session by websocket, where there is no WebRTC, or nothing to film.
 */

import { ConnectionFailed, LookbackError } from "./errors.js";

/** @typedef {import("./events.js").ServerEvent} ServerEvent */
/** @typedef {import("./events.js").Wanted} Wanted */
/** @typedef {import("./http.js").Http} Http */

/** @typedef {HTMLCanvasElement | OffscreenCanvas | ImageBitmap | HTMLVideoElement} Drawable */
/** @typedef {Blob | ArrayBuffer | Uint8Array<ArrayBuffer> | Drawable} FramePicture */

const QUALITY = 0.9; // of JPEG
const MOST_WAITING = 2 ** 21; // bytes that the network has not taken yet
const OPEN_LIMIT = 10_000; // milliseconds

/**
 * @param {Drawable} picture
 * @returns {Promise<Blob>} A JPEG.
 */
async function encoded(picture) {
  const video = "videoWidth" in picture;
  const width = video ? picture.videoWidth : picture.width;
  const height = video ? picture.videoHeight : picture.height;
  if (!width || !height) throw new LookbackError("The picture has no size yet.", "no_picture");
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d");
  if (!context) throw new LookbackError("This browser cannot draw pictures.", "unsupported");
  context.drawImage(picture, 0, 0);
  return canvas.convertToBlob({ type: "image/jpeg", quality: QUALITY });
}

export class FramesSender {
  #socket;
  #time = -Infinity;
  /** @type {LookbackError | null} Why the last picture was refused, or the sender ended. */
  error = null;
  /** Pictures that were not sent because the network was too slow. */
  dropped = 0;

  /**
   * @param {Http} http
   * @param {string} session
   */
  constructor(http, session) {
    this.#socket = http.socket(`v1/sessions/${encodeURIComponent(session)}/frames`, {});
    this.#socket.onmessage = (message) => this.#hear(JSON.parse(String(message.data)));
  }

  get open() {
    return this.#socket.readyState === WebSocket.OPEN;
  }

  /**
   * @returns {Promise<void>} When pictures can be sent.
   * @throws {LookbackError}
   */
  async opened() {
    await new Promise((resolve, reject) => {
      const fail = () => reject(this.error ?? new ConnectionFailed(
        "The websocket for frames was refused: these credentials may not publish, or there is " +
          "no such session.", "websocket_refused"));
      this.#ready = () => resolve(undefined);
      this.#socket.onclose = fail;
      setTimeout(fail, OPEN_LIMIT);
    });
    this.#socket.onclose = ({ code, reason }) => {
      const why = reason || `it was closed with code ${code}`;
      this.error ??= new ConnectionFailed(`Frames can no longer be sent: ${why}.`, "closed");
    };
  }

  /**
   * Sends one picture. Send as often as you like: the gateway takes what its sampler wants. Where
   * the network is slow, pictures are dropped instead of queued.
   * @param {FramePicture} picture A JPEG, PNG or WebP file, or what can be drawn.
   * @param {number} [seconds] Its time, which must rise; by default the present.
   * @returns {Promise<boolean>} Whether it was sent.
   * @throws {LookbackError} Where the sender has ended.
   */
  async send(picture, seconds = performance.now() / 1000) {
    if (!this.open) throw this.error ?? new ConnectionFailed("It was closed.", "closed");
    if (this.#socket.bufferedAmount > MOST_WAITING || seconds <= this.#time) {
      this.dropped++;
      return false;
    }
    this.#time = seconds;
    const file =
      picture instanceof Blob || picture instanceof ArrayBuffer || picture instanceof Uint8Array
        ? picture
        : await encoded(picture);
    const time = new DataView(new ArrayBuffer(8));
    time.setFloat64(0, seconds);
    this.#socket.send(await new Blob([time, file]).arrayBuffer());
    return true;
  }

  /** Ends it; the memory stays. */
  close() {
    this.#socket.close();
  }

  /** @type {() => void} */
  #ready = () => undefined;

  /** @param {ServerEvent} event */
  #hear(event) {
    if (event.type === "lookback.frames.ready") this.#ready();
    if (event.type !== "error" || !event.error) return;
    this.error = new LookbackError(event.error.message, event.error.code ?? "");
  }
}
