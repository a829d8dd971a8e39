/**
 * Where pictures come from: a camera, a screen, or the sample clip.
 */

import { captureWishes } from "../clients/js/index.js";
import { InsecureContext, Unsupported } from "./errors.js";
import { address } from "./page.js";

/** @typedef {import("../clients/js/index.js").Wanted} Wanted */

/**
 * @typedef {object} Source
 * @property {"camera" | "screen" | "sample"} kind
 * @property {MediaStream} stream With one video track.
 * @property {() => Promise<void>} play Called once the far end is ready for pictures.
 * @property {() => void} stop
 */

/** @returns {MediaDevices} */
function devices() {
  if (!window.isSecureContext) throw new InsecureContext();
  if (!navigator.mediaDevices) throw new Unsupported("This browser has no camera support.");
  return navigator.mediaDevices;
}

/**
 * @param {"camera" | "screen"} kind
 * @param {MediaStream} stream
 * @param {HTMLVideoElement} preview
 * @returns {Source}
 */
function live(kind, stream, preview) {
  preview.srcObject = stream;
  return {
    kind,
    stream,
    play: () => preview.play(),
    stop: () => {
      for (const track of stream.getTracks()) track.stop();
      if (preview.srcObject === stream) preview.srcObject = null;
    },
  };
}

/**
 * @param {HTMLVideoElement} preview
 * @param {Wanted | null} wanted What pictures the model takes, where that is known yet.
 * @param {string} [id] Of one camera; otherwise the one that looks away from the user.
 * @returns {Promise<Source>}
 */
export async function openCamera(preview, wanted, id) {
  const which = id ? { deviceId: { exact: id } } : { facingMode: { ideal: "environment" } };
  const video = { ...captureWishes(wanted), ...which };
  const stream = await devices().getUserMedia({ video, audio: false });
  return live("camera", stream, preview);
}

/**
 * A screen comes in its own size: it is made smaller on its way, as far as letters stay legible.
 * @param {HTMLVideoElement} preview
 * @param {Wanted | null} wanted
 * @returns {Promise<Source>}
 */
export async function openScreen(preview, wanted) {
  const media = devices();
  if (!media.getDisplayMedia) {
    throw new Unsupported("This browser cannot share a screen. Use the camera or the sample clip.");
  }
  const { frameRate } = captureWishes(wanted);
  const stream = await media.getDisplayMedia({ video: { frameRate }, audio: false });
  return live("screen", stream, preview);
}

/** @returns {Promise<MediaDeviceInfo[]>} Named only once a camera has been allowed. */
export async function listCameras() {
  const all = (await navigator.mediaDevices?.enumerateDevices()) ?? [];
  return all.filter((device) => device.kind === "videoinput");
}

/**
 * The clip plays in the preview and is captured from there, as if it were a camera.
 * @param {HTMLVideoElement} preview
 * @param {() => void} onEnd
 * @returns {Promise<Source>}
 */
export async function openSample(preview, onEnd) {
  preview.srcObject = null;
  preview.src = address("sample.mp4").href;
  preview.onended = onEnd;
  await new Promise((resolve, reject) => {
    preview.onloadeddata = resolve;
    preview.onerror = () =>
      reject(new Unsupported("The sample clip cannot be played: it is missing on the server, " +
        "or this browser cannot decode it."));
    preview.load();
  });
  const captured = capture(preview);
  return {
    kind: "sample",
    stream: captured.stream,
    play: () => preview.play(),
    stop: () => {
      captured.stop();
      preview.onended = preview.onloadeddata = preview.onerror = null;
      preview.removeAttribute("src");
      if (!preview.srcObject) preview.load();
    },
  };
}

/**
 * @param {HTMLVideoElement} video With data.
 * @returns {{stream: MediaStream, stop: () => void}}
 */
function capture(video) {
  const able = /** @type {HTMLVideoElement & {captureStream?: () => MediaStream,
    mozCaptureStream?: () => MediaStream}} */ (video);
  const direct = able.captureStream?.() ?? able.mozCaptureStream?.();
  if (direct && direct.getVideoTracks().length > 0) {
    return { stream: direct, stop: () => direct.getTracks().forEach((track) => track.stop()) };
  }
  return captureCanvas(video);
}

/**
 * For Safari, which captures a canvas but no video element.
 * @param {HTMLVideoElement} video
 * @returns {{stream: MediaStream, stop: () => void}}
 */
function captureCanvas(video) {
  const canvas = document.createElement("canvas");
  canvas.width = video.videoWidth;
  canvas.height = video.videoHeight;
  const context = canvas.getContext("2d");
  if (!context || !canvas.captureStream) {
    throw new Unsupported("This browser cannot send a clip. Use the camera instead.");
  }
  const stream = canvas.captureStream(30);
  const draw = () => context.drawImage(video, 0, 0, canvas.width, canvas.height);
  draw();
  const timer = window.setInterval(draw, 33);
  return {
    stream,
    stop: () => {
      window.clearInterval(timer);
      stream.getTracks().forEach((track) => track.stop());
    },
  };
}
