/**
 * A curve of how full the memory was: it climbs to the cap, is compressed, and climbs again.
 */

const POINTS = 121; // one a second: two minutes
const HEIGHT = 100; // of the drawing; the page stretches it

export class History {
  /** @type {number[]} */
  #shares = [];

  /** @param {SVGElement} drawing With one polyline and one polygon. */
  constructor(drawing) {
    drawing.setAttribute("viewBox", `0 0 ${POINTS - 1} ${HEIGHT}`);
    this.line = /** @type {SVGPolylineElement} */ (drawing.querySelector("polyline"));
    this.area = /** @type {SVGPolygonElement} */ (drawing.querySelector("polygon"));
  }

  clear() {
    this.#shares = [];
    this.#draw();
  }

  /** @param {number} share Of the cap, 0 to 1. */
  add(share) {
    this.#shares.push(share);
    if (this.#shares.length > POINTS) this.#shares.shift();
    this.#draw();
  }

  #draw() {
    const points = this.#shares.map((share, x) => `${x},${((1 - share) * HEIGHT).toFixed(1)}`);
    this.line.setAttribute("points", points.join(" "));
    const end = this.#shares.length - 1;
    const closed = end > 0 ? [...points, `${end},${HEIGHT}`, `0,${HEIGHT}`] : [];
    this.area.setAttribute("points", closed.join(" "));
  }
}
