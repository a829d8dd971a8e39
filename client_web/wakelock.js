/**
 * Keeps a phone's screen on while it watches: with the screen its camera goes off too.
 */

export class WakeLock {
  /** @type {WakeLockSentinel | null} */
  #lock = null;
  #wanted = false;

  constructor() {
    // The browser takes the lock away from a hidden page.
    document.addEventListener("visibilitychange", () => void this.#take());
  }

  /** @param {boolean} wanted */
  want(wanted) {
    this.#wanted = wanted;
    if (wanted) {
      void this.#take();
    } else {
      void this.#lock?.release();
      this.#lock = null;
    }
  }

  async #take() {
    if (!this.#wanted || document.hidden || (this.#lock && !this.#lock.released)) return;
    try {
      this.#lock = (await navigator.wakeLock?.request("screen")) ?? null;
      if (!this.#wanted) this.want(false);
    } catch (error) {
      // A wish only: a low battery may refuse it.
      console.debug("the screen may go off", error);
    }
  }
}
