/**
 * Shares as colours on a canvas: the stronger, the more is kept. The colour is the canvas's own
 * `color`, so that the style sheet chooses it.
 */

/** @typedef {import("./description.js").Description} Description */

const GAP = 1; // pixels between bars and between cells
const WIDE = 4; // pixels; narrower bars touch

/**
 * @param {number} share 0 to 1.
 * @returns {number} How opaque. A small share is small but not invisible.
 */
function opacity(share) {
  return share > 0 ? 0.14 + 0.86 * Math.sqrt(share) : 0;
}

/**
 * An empty drawing as sharp as the screen.
 * @param {HTMLCanvasElement} canvas
 * @returns {{context: CanvasRenderingContext2D, width: number, height: number}} CSS pixels.
 */
function sheet(canvas) {
  const context = canvas.getContext("2d");
  if (!context) throw new Error("this browser cannot draw");
  const { clientWidth: width, clientHeight: height } = canvas;
  const scale = window.devicePixelRatio || 1;
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  context.setTransform(canvas.width / (width || 1), 0, 0, canvas.height / (height || 1), 0, 0);
  context.fillStyle = getComputedStyle(canvas).color;
  return { context, width, height };
}

/** Where times lie on a strip: the oldest frame at the left end, the newest at the right. */
export class Axis {
  /**
   * @param {Description} description With at least one frame.
   * @param {number} width Pixels.
   */
  constructor(description, width) {
    const { frames, pace } = description;
    this.start = frames[0] ?? 0;
    this.seconds = (frames[frames.length - 1] ?? 0) + pace - this.start;
    this.width = width;
  }

  /** @param {number} seconds */
  at(seconds) {
    return ((seconds - this.start) / this.seconds) * this.width;
  }

  /** @param {number} x */
  time(x) {
    return this.start + (x / (this.width || 1)) * this.seconds;
  }
}

/**
 * A bar for each frame along time. Of frames that share a pixel the fullest is seen.
 * @param {HTMLCanvasElement} canvas
 * @param {Description} description With at least one frame.
 * @param {number} chosen The index of the frame that is marked.
 */
export function drawStrip(canvas, description, chosen) {
  const { context, width, height } = sheet(canvas);
  const { frames, means, pace } = description;
  const axis = new Axis(description, width);
  const columns = new Float32Array(Math.ceil(width));
  const gap = axis.at(axis.start + pace) >= WIDE ? GAP : 0;
  frames.forEach((time, index) => {
    const next = Math.min(frames[index + 1] ?? Infinity, time + pace);
    const first = Math.min(Math.floor(axis.at(time)), columns.length - 1);
    const end = Math.max(first + 1, Math.floor(axis.at(next)) - gap);
    for (let x = first; x < end && x < columns.length; x++) {
      columns[x] = Math.max(columns[x] ?? 0, means[index] ?? 0);
    }
  });
  columns.forEach((share, x) => {
    context.globalAlpha = opacity(share);
    context.fillRect(x, 0, 1, height - 8);
  });
  mark(context, axis.at((frames[chosen] ?? 0) + pace / 2), width, height);
}

/**
 * A pointer below the bars.
 * @param {CanvasRenderingContext2D} context
 * @param {number} x
 * @param {number} width
 * @param {number} height
 */
function mark(context, x, width, height) {
  const tip = Math.min(Math.max(x, 5), width - 5);
  context.globalAlpha = 1;
  context.beginPath();
  context.moveTo(tip, height - 7);
  context.lineTo(tip + 5, height);
  context.lineTo(tip - 5, height);
  context.fill();
}

/**
 * The patches of one frame where they lie in the picture.
 * @param {HTMLCanvasElement} canvas
 * @param {Description} description
 * @param {number} index Of the frame.
 */
export function drawPatches(canvas, description, index) {
  const { rows, columns } = description;
  canvas.style.aspectRatio = `${columns} / ${rows}`;
  const { context, width, height } = sheet(canvas);
  description.picture(index).forEach((share, patch) => {
    const left = Math.round(((patch % columns) * width) / columns);
    const right = Math.round((((patch % columns) + 1) * width) / columns);
    const top = Math.round((Math.floor(patch / columns) * height) / rows);
    const bottom = Math.round(((Math.floor(patch / columns) + 1) * height) / rows);
    context.globalAlpha = opacity(share / 255);
    context.fillRect(left, top, right - left - GAP, bottom - top - GAP);
  });
}
