/**
 * The client of Lookback for browsers and Node: publish a camera, and ask about what it has seen.
 */

export { Answer } from "./answer.js";
export { Camera } from "./camera.js";
export { Lookback } from "./client.js";
export { Connection } from "./connection.js";
export {
  AnswerFailed,
  ApiError,
  ConnectionFailed,
  LookbackError,
  SessionClosed,
  Unreachable,
} from "./errors.js";
export { FramesSender } from "./frames.js";
export { captureWishes } from "./sending.js";
export { Session } from "./session.js";

/** @typedef {import("./question.js").AskOptions} AskOptions */
/** @typedef {import("./session.js").SessionToken} SessionToken */
/** @typedef {import("./client.js").ClientOptions} ClientOptions */
/** @typedef {import("./client.js").Ready} Ready */
/** @typedef {import("./connection.js").State} State */
/** @typedef {import("./events.js").About} About */
/** @typedef {import("./events.js").CameraStatus} CameraStatus */
/** @typedef {import("./events.js").Description} Description */
/** @typedef {import("./events.js").Memory} Memory */
/** @typedef {import("./events.js").Response} Response */
/** @typedef {import("./events.js").ServerEvent} ServerEvent */
/** @typedef {import("./events.js").SessionDescription} SessionDescription */
/** @typedef {import("./events.js").SessionOptions} SessionOptions */
/** @typedef {import("./events.js").Wanted} Wanted */
