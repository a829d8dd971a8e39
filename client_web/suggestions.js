/**
 * Questions to tap instead of typing, fitting what is being watched.
 */

import { address } from "./page.js";

/**
 * A question that fits the sample clip.
 * @typedef {object} SampleQuestion
 * @property {number} at Seconds into the clip.
 * @property {string} question
 * @property {string} expected
 */

const SMALL_WORLD = [
  "What is it now?",
  "What was the first thing you saw?",
  "Have you seen a clock?",
  "What did you see before the clock?",
  "How many different things have you seen?",
];

const ANY_WORLD = [
  "What do you see now?",
  "What was the first thing you saw?",
  "What has changed since the beginning?",
  "What did I hold up last?",
  "Describe what you have seen so far, in order.",
];

const SHOWN = 5;

/** @returns {Promise<SampleQuestion[]>} None where the server has no list. */
export async function sampleQuestions() {
  try {
    const list = await (await fetch(address("sample.json"))).json();
    return Array.isArray(list.questions) ? list.questions : [];
  } catch {
    return [];
  }
}

export class Suggestions {
  /** @type {SampleQuestion[] | null} */
  #sample = null;
  /** @type {string[]} */
  #general = SMALL_WORLD;
  #shown = "";
  #seconds = 0;

  /**
   * @param {HTMLElement} list Takes one button for each suggestion.
   * @param {(question: string) => void} onPick
   */
  constructor(list, onPick) {
    this.list = list;
    this.onPick = onPick;
    this.#show(this.#general);
  }

  /** @param {boolean} small Whether the model that answers knows the small world only. */
  fit(small) {
    this.#general = small ? SMALL_WORLD : ANY_WORLD;
    this.at(this.#seconds);
  }

  /** @param {SampleQuestion[] | null} questions Of the clip, or null for any other source. */
  use(questions) {
    this.#sample = questions && questions.length > 0 ? questions : null;
    this.at(0);
  }

  /**
   * Shows those whose time in the clip has come, the newest first.
   * @param {number} seconds Into the clip.
   */
  at(seconds) {
    this.#seconds = seconds;
    if (!this.#sample) return this.#show(this.#general);
    const due = this.#sample.filter((question) => question.at <= seconds).reverse();
    const texts = due.map((question) => question.question);
    return this.#show([...new Set([...texts, ...this.#general.slice(0, 2)])]);
  }

  /** @param {string[]} questions */
  #show(questions) {
    const texts = questions.slice(0, SHOWN);
    // Rebuilding would take the focus from a button, so only on a change.
    if (texts.join("\n") === this.#shown) return;
    this.#shown = texts.join("\n");
    this.list.replaceChildren(
      ...texts.map((text) => {
        const item = document.createElement("li");
        const button = document.createElement("button");
        button.type = "button";
        button.textContent = text;
        button.addEventListener("click", () => this.onPick(text));
        item.append(button);
        return item;
      }),
    );
    this.list.scrollLeft = 0;
  }
}
