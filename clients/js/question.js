/**
 * A question, with the pictures that belong to it, as the events that ask it.
 */

import { ASKED } from "./answers.js";

/** @typedef {import("./events.js").ClientEvent} ClientEvent */

/**
 * @typedef {object} AskOptions
 * @property {AbortSignal} [signal] Stops the answer; `for await` then throws its reason.
 * @property {(Blob | string)[]} [pictures] Seen at the moment of the question: files, or data URLs.
 * @property {number} [maxOutputTokens]
 * @property {number} [temperature] 0: always the likeliest token.
 * @property {number} [topP]
 * @property {number} [seed]
 * @property {string[]} [stop] The answer ends before the first of these.
 * @property {Record<string, string>} [metadata] Comes back with the response.
 */

/**
 * @param {Blob | string} picture
 * @returns {Promise<string>} A data URL.
 */
export async function dataUrl(picture) {
  if (typeof picture === "string") return picture;
  const bytes = new Uint8Array(await picture.arrayBuffer());
  let letters = "";
  for (const byte of bytes) letters += String.fromCharCode(byte);
  return `data:${picture.type || "image/jpeg"};base64,${btoa(letters)}`;
}

/**
 * @param {string} question
 * @param {string[]} urls Its pictures.
 * @returns {ClientEvent} The question itself.
 */
export function itemEvent(question, urls) {
  const images = urls.map((image_url) => ({ type: "input_image", image_url }));
  const content = [...images, { type: "input_text", text: question }];
  const item = { type: "message", role: "user", content };
  return { type: "conversation.item.create", item };
}

/**
 * @param {string} asked The id of the event with the question.
 * @param {AskOptions} options
 * @returns {ClientEvent} The wish for its answer.
 */
export function responseEvent(asked, options) {
  const { maxOutputTokens, temperature, topP, seed, stop, metadata } = options;
  const response = {
    max_output_tokens: maxOutputTokens,
    temperature,
    top_p: topP,
    seed,
    stop,
    metadata: { ...metadata, [ASKED]: asked },
  };
  return { type: "response.create", response };
}
