/**
 * The page: joins what is shown to what is connected.
 */

import { Chat } from "./chat.js";
import { Connection } from "./connection.js";
import { words } from "./errors.js";
import { MemoryPanel } from "./memory.js";
import { Meter } from "./meter.js";
import { find } from "./page.js";
import { ready, sampleQuestions } from "./session.js";
import { Settings } from "./settings.js";
import { Status } from "./status.js";
import { Suggestions } from "./suggestions.js";
import { Viewer } from "./viewer.js";

/** @typedef {import("./camera.js").Source} Source */
/** @typedef {import("./connection.js").State} State */
/** @typedef {import("./realtime.js").ServerEvent} ServerEvent */
/** @typedef {import("./session.js").Session} Session */

const forgetButton = find("forget", HTMLButtonElement);
const cancelButton = find("cancel", HTMLButtonElement);
const question = find("question", HTMLInputElement);

const ANSWER_LIMIT = 10_000; // milliseconds without a word after a broken connection
let answerTimer = 0;
/** @type {State} */
let link = "idle";
let cameraState = "";

const status = new Status();
const meter = new Meter(find("meter", HTMLDivElement));
const chat = new Chat(
  find("log", HTMLOListElement),
  find("announcer", HTMLParagraphElement),
  (writing) => {
    clearTimeout(answerTimer);
    if (!writing && document.activeElement === cancelButton) question.focus();
    cancelButton.hidden = !writing;
  },
);
const suggestions = new Suggestions(find("suggestions", HTMLUListElement), ask);
const settings = new Settings();
const memory = new MemoryPanel(() => connection.describe());
const connection = new Connection({
  options: () => settings.begin(),
  onState: (state, detail) => {
    link = state;
    cameraState = "";
    showState();
    if (detail) status.say(detail, "link");
    else if (state === "live" || state === "idle") status.unsay("link");
    if (state === "live") void viewer.play();
    if (state === "reconnecting" && chat.writing) expectAnswer();
  },
  onSession: showSession,
  onEvent: hear,
  onMemoryLost: (why) =>
    chat.note(`The memory was lost: ${why.replace(/\.$/, "")}. A new one begins empty.`),
  onProblem: (message) => status.say(message, "problem"),
});
const viewer = new Viewer({
  onSource: send,
  onStop: () => {
    suggestions.use(null);
    connection.pause();
  },
  onChange: showState,
  onClip: (seconds) => suggestions.at(seconds),
  onProblem: (message) => {
    if (message) status.say(message, "problem");
    else status.unsay("problem");
  },
});

function showState() {
  const still = cameraState === "stalled" || cameraState === "gone" ? "No new pictures" : "";
  status.show(link, viewer.over ? "The clip is over" : still);
}

/** @param {Session | null} session */
function showSession(session) {
  meter.open(session);
  memory.clear();
  settings.show(session !== null);
  forgetButton.hidden = !session;
  if (!session) {
    chat.interrupt("its memory is gone.");
    return;
  }
  chat.begin();
  const small = session.model.includes("lookback-mini");
  suggestions.fit(small);
  find("help", HTMLDetailsElement).classList.toggle("large-world", !small);
  find("about", HTMLElement).textContent = small
    ? "The embedded model knows 64 objects. What can it answer?"
    : `Answers come from ${session.model}`;
}

/** @param {Source} source */
async function send(source) {
  const clip = source.kind === "sample";
  suggestions.use(clip ? await sampleQuestions() : null);
  if (clip && meter.framesSeen > 0) {
    await connection.forget();
    chat.note("A new memory begins with the clip.");
  }
  if (viewer.source === source) await connection.watch(source.stream);
}

/** @param {ServerEvent} event */
function hear(event) {
  if (event.type === "lookback.memory.updated" && event.memory) {
    meter.update(event.memory);
  } else if (memory.hear(event)) {
    return;
  } else if (event.type === "lookback.camera.updated" && event.camera) {
    cameraState = event.camera.state;
    showState();
  } else if (event.type === "lookback.frame.rejected" && event.message) {
    status.say(`A picture was not used: ${event.message}`, "problem");
  } else if (chat.hear(event)) {
    clearTimeout(answerTimer);
  } else if (event.type === "error" && event.error) {
    status.say(event.error.message, "problem");
  }
}

/** After a broken connection the end of an answer may never come. */
function expectAnswer() {
  clearTimeout(answerTimer);
  answerTimer = window.setTimeout(
    () => chat.interrupt("the connection broke while it was being written. Ask again."),
    ANSWER_LIMIT,
  );
}

/** @param {string} text */
function ask(text) {
  const asked = text.trim();
  if (!asked) {
    question.focus();
    return;
  }
  try {
    if (!connection.session) {
      question.value = asked;
      status.say("Show me something first: a camera, a screen, or the sample clip.", "problem");
      return;
    }
    chat.ask(asked, connection.ask(asked));
    question.value = "";
    status.unsay("problem");
  } catch {
    question.value = asked;
    status.say("There is no connection to the server just now. Your question is kept.", "problem");
  }
}

function cancel() {
  try {
    connection.cancel(chat.responseId);
  } catch {
    chat.interrupt("the connection broke.");
  }
}

async function forget() {
  await connection.forget();
  chat.note("Everything is forgotten.");
  const { source } = viewer;
  if (!source || viewer.over) return connection.pause();
  try {
    await connection.watch(source.stream);
  } catch (error) {
    status.say(words(error), "problem");
  }
  return undefined;
}

/** Says so while there is no model to answer, before anybody asks. */
async function awaitModel() {
  while (link === "idle" && !connection.session) {
    try {
      await ready();
      status.unsay("link");
      return;
    } catch (error) {
      if (link === "idle") status.say(words(error), "link");
    }
    await new Promise((resolve) => setTimeout(resolve, 2000));
  }
}

forgetButton.addEventListener("click", () => void forget());
cancelButton.addEventListener("click", cancel);
find("form", HTMLFormElement).addEventListener("submit", (event) => {
  event.preventDefault();
  ask(question.value);
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && chat.writing) cancel();
});
window.addEventListener("pagehide", () => connection.leave());
window.addEventListener("pageshow", (event) => {
  // A page out of the back-forward cache has closed its session.
  if (event.persisted) location.reload();
});
void awaitModel();
