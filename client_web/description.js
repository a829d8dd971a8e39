/**
 * What the memory keeps, frame by frame and patch by patch. Knows nothing about the page.
 */

import { clock, number, size } from "./units.js";

/** @typedef {import("../clients/js/index.js").Description} Described */

const WHOLE = 255;

/**
 * @param {number} count
 * @param {string} noun
 */
const several = (count, noun) => `${number(count)} ${noun}${count === 1 ? "" : "s"}`;

/**
 * @param {number} share 0 to 1; only nothing is 0 %, and only all is 100 %.
 */
const percent = (share) =>
  share > 0 && share < 0.01 ? "less than 1 %" : `${Math.floor(share * 100)} %`;

/**
 * @param {string} base64
 * @returns {Uint8Array} A loop, because there may be a million and this is done once a second.
 */
function bytes(base64) {
  const letters = atob(base64);
  const decoded = new Uint8Array(letters.length);
  for (let at = 0; at < letters.length; at++) decoded[at] = letters.charCodeAt(at);
  return decoded;
}

export class Description {
  /** @param {Described} told */
  constructor(told) {
    this.told = told;
    this.frames = told.frames;
    this.rows = told.rows;
    this.columns = told.columns;
    this.shares = bytes(told.shares);
    if (this.shares.length !== told.frames.length * told.patches) {
      throw new RangeError(
        `${this.shares.length} shares came for ${told.frames.length} frames of ` +
          `${told.patches} patches`,
      );
    }
    this.means = told.frames.map((_, index) => {
      let sum = 0;
      for (const share of this.picture(index)) sum += share;
      return sum / (this.rows * this.columns * WHOLE);
    });
  }

  /**
   * @param {number} index Of a frame.
   * @returns {Uint8Array} The shares of its picture's patches, row by row.
   */
  picture(index) {
    const start = index * this.told.patches;
    return this.shares.subarray(start, start + this.rows * this.columns);
  }

  /**
   * @param {number} seconds
   * @returns {number} The index of the frame whose time is nearest, or -1 where there is none.
   */
  nearest(seconds) {
    const { frames } = this;
    let low = 0;
    let high = frames.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      const [here = 0, next = 0] = frames.slice(middle, middle + 2);
      if (seconds - here <= next - seconds) high = middle;
      else low = middle + 1;
    }
    return high;
  }

  /**
   * The time from one frame to the next where none is missing: of the newest, all are kept.
   * @returns {number} Seconds.
   */
  get pace() {
    const newest = this.frames.slice(-9);
    const gaps = newest.slice(1).map((time, index) => time - (newest[index] ?? time));
    gaps.sort((one, other) => one - other);
    return gaps[(gaps.length - 1) >> 1] || 1;
  }

  /**
   * @param {number} index Of a frame.
   * @returns {string} Its time and how much of it is kept.
   */
  frameWords(index) {
    const picture = this.picture(index);
    const kept = picture.filter((share) => share > 0).length;
    const mean = this.means[index] ?? 0;
    const time = clock(this.frames[index] ?? 0);
    if (mean === 1) return `${time}: kept whole, all ${number(picture.length)} patches`;
    return `${time}: ${percent(mean)} kept, in ${number(kept)} of ${number(picture.length)} patches`;
  }

  /** @returns {string} The picture in a sentence or two. */
  get words() {
    const { frames, means } = this;
    if (frames.length === 0) return "Nothing is kept yet.";
    const whole = means.filter((mean) => mean === 1).length;
    const from = clock(frames[0] ?? 0);
    const to = clock(frames[frames.length - 1] ?? 0);
    const range = frames.length === 1 ? `at ${from}` : `from ${from} to ${to}`;
    return `Something is kept of ${several(frames.length, "frame")} ${range}; ` +
      `${number(whole)} of them ${whole === 1 ? "is" : "are"} whole.`;
  }

  /** @returns {Record<string, string>} What the meter does not say, by the names in index.html. */
  get facts() {
    const { told } = this;
    const compacted = told.position_compactions;
    const left = told.next_compaction_positions;
    return {
      held: `${number(told.tokens)} of at most ${number(told.cap_tokens)} tokens`,
      bytes: `${size(told.kv_bytes)}, ${number(told.bytes_per_token)} bytes a token`,
      next:
        `after ${several(told.next_compression_tokens, "more token")}, ` +
        `down to ${number(told.budget_tokens)}`,
      positions:
        (left === null ? "never compacted" : `compacted after ${number(left)} more`) +
        (compacted > 0 ? `, so far ${several(compacted, "time")}` : ""),
    };
  }
}
