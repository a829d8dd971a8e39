/**
 * The page: what its buttons do, and what it shows of everything else.
 */

import { listCameras, openCamera, openSample, openScreen } from "./camera.js";
import { Chat } from "./chat.js";
import { Connection } from "./connection.js";
import { words } from "./errors.js";
import { Meter } from "./meter.js";
import { ready, sampleQuestions } from "./session.js";
import { Suggestions } from "./suggestions.js";

/** @typedef {import("./camera.js").Source} Source */
/** @typedef {import("./connection.js").State} State */

/**
 * @template {HTMLElement} T
 * @param {string} id
 * @param {new () => T} type
 * @returns {T}
 */
function find(id, type) {
  const element = document.getElementById(id);
  if (!(element instanceof type)) throw new Error(`index.html has no ${type.name} “${id}”`);
  return element;
}

const preview = find("preview", HTMLVideoElement);
const picture = /** @type {HTMLElement} */ (preview.parentElement);
const picker = find("picker", HTMLLabelElement);
const cameras = find("cameras", HTMLSelectElement);
const sampleButton = find("sample", HTMLButtonElement);
const stopButton = find("stop", HTMLButtonElement);
const forgetButton = find("forget", HTMLButtonElement);
const cancelButton = find("cancel", HTMLButtonElement);
const sendButton = find("send", HTMLButtonElement);
const question = find("question", HTMLInputElement);
const state = find("state", HTMLParagraphElement);
const notice = find("notice", HTMLDivElement);

/** @type {Record<State, string>} */
const STATE_WORDS = {
  idle: "Not watching",
  opening: "Opening a memory…",
  waiting: "Waiting for the model…",
  lost: "Server not reachable",
  connecting: "Connecting the video…",
  live: "Watching",
  reconnecting: "Reconnecting…",
};
const ANSWER_LIMIT = 10_000; // milliseconds without a word after a broken connection

/** @type {Source | null} */
let source = null;
let starts = 0;
/** @type {State} */
let linkState = "idle";
let cameraState = "";
let answerTimer = 0;

const meter = new Meter(find("meter", HTMLDivElement));
const chat = new Chat(
  find("log", HTMLOListElement),
  find("announcer", HTMLParagraphElement),
  (writing) => {
    const focused = document.activeElement === (writing ? sendButton : cancelButton);
    sendButton.hidden = writing;
    cancelButton.hidden = !writing;
    if (focused) (writing ? cancelButton : question).focus();
    clearTimeout(answerTimer);
  },
);
const suggestions = new Suggestions(find("suggestions", HTMLUListElement), ask);
const connection = new Connection({
  onState: (next, detail) => {
    linkState = next;
    cameraState = "";
    showState();
    if (detail) say(detail, "link");
    else unsay("link");
    if (next === "reconnecting" && chat.writing) expectAnswer();
  },
  onSession: (session) => {
    meter.open(session);
    forgetButton.hidden = !session;
    if (!session) return chat.interrupt("its memory is gone.");
    suggestions.fit(session.model);
    const small = session.model.includes("lookback-mini");
    find("help", HTMLDetailsElement).classList.toggle("large-world", !small);
    find("about", HTMLElement).textContent = small
      ? "The embedded model knows 64 objects. What can it answer?"
      : `Answers come from ${session.model}`;
    return undefined;
  },
  onMemoryLost: (why) =>
    chat.note(`The memory was lost: ${why.replace(/\.$/, "")}. A new one begins empty.`),
  onProblem: (message) => say(message, "problem"),
  onEvent: (event) => {
    if (event.type === "lookback.memory.updated" && event.memory) meter.update(event.memory);
    else if (event.type === "lookback.camera.updated" && event.camera) {
      cameraState = event.camera.state;
      showState();
    } else if (event.type === "lookback.frame.rejected" && event.message) {
      say(`A picture was not used: ${event.message}`, "problem");
    } else if (chat.hear(event)) clearTimeout(answerTimer);
    else if (event.type === "error" && event.error) say(event.error.message, "problem");
  },
});

/**
 * @param {string} text
 * @param {"link" | "problem"} topic
 */
function say(text, topic) {
  const paragraph = /** @type {HTMLElement} */ (notice.querySelector("p"));
  if (paragraph.textContent !== text) paragraph.textContent = text;
  notice.dataset.topic = topic;
  notice.hidden = false;
}

/** @param {"link" | "problem"} topic */
function unsay(topic) {
  if (notice.dataset.topic === topic) notice.hidden = true;
}

function showState() {
  const over = source?.kind === "sample" && preview.ended;
  const still = linkState === "live" && (over || cameraState === "stalled");
  const text = over ? "The clip is over" : "No new pictures";
  /** @type {HTMLElement} */ (state.firstElementChild).textContent = still
    ? text
    : STATE_WORDS[linkState];
  state.dataset.state = still ? "still" : linkState;
  picture.dataset.kind = source?.kind ?? "none";
  stopButton.hidden = !source || over;
  find("ended", HTMLParagraphElement).hidden = !over;
  const again = find("sample", HTMLButtonElement).querySelector("span");
  if (again) again.textContent = over ? "Play it again" : "Use the sample clip";
}

/** After a broken connection the end of an answer may never come. */
function expectAnswer() {
  clearTimeout(answerTimer);
  answerTimer = window.setTimeout(
    () => chat.interrupt("the connection broke while it was being written. Ask again."),
    ANSWER_LIMIT,
  );
}

/**
 * @param {Source["kind"]} kind
 * @param {string} [camera] The id of one camera.
 */
async function start(kind, camera) {
  const turn = ++starts;
  unsay("problem");
  try {
    // Phones open one camera at a time; a cancelled screen share leaves the old source as it is.
    if (kind !== "screen") stopSource();
    const opened = await {
      camera: () => openCamera(preview, camera),
      screen: () => openScreen(preview),
      sample: () => openSample(preview, showState),
    }[kind]();
    if (turn !== starts) return opened.stop();
    stopSource();
    source = opened;
    showState();
    await use(opened, turn);
  } catch (error) {
    if (turn === starts) say(words(error, kind), "problem");
    showState();
  }
  return undefined;
}

/**
 * @param {Source} opened
 * @param {number} turn
 */
async function use(opened, turn) {
  const [track] = opened.stream.getVideoTracks();
  if (opened.kind === "sample") {
    suggestions.use(await sampleQuestions());
    if (meter.framesSeen > 0) {
      await connection.forget();
      chat.note("A new memory begins with the clip.");
    }
  } else {
    suggestions.use(null);
    track?.addEventListener("ended", () => sourceEnded(opened));
    await opened.play();
    if (opened.kind === "camera") await listInPicker(track?.getSettings().deviceId);
  }
  if (turn !== starts) return;
  if ((await connection.watch(opened.stream)) && turn === starts) await opened.play();
}

/** @param {Source} ended */
function sourceEnded(ended) {
  if (source !== ended) return;
  stopWatching();
  say(
    ended.kind === "screen"
      ? "Sharing the screen has ended. The memory stays: ask on, or choose another source."
      : "The camera has stopped: it was unplugged, or another program took it. The memory stays.",
    "problem",
  );
}

function stopSource() {
  source?.stop();
  source = null;
}

function stopWatching() {
  starts++;
  stopSource();
  picker.hidden = true;
  suggestions.use(null);
  connection.pause();
}

/** @param {string | undefined} chosen */
async function listInPicker(chosen) {
  const list = await listCameras();
  cameras.replaceChildren(
    ...list.map((one, index) => new Option(one.label || `Camera ${index + 1}`, one.deviceId)),
  );
  if (chosen) cameras.value = chosen;
  picker.hidden = list.length === 0;
}

/** @param {string} text */
function ask(text) {
  const asked = text.trim();
  if (!asked) return question.focus();
  if (chat.writing) {
    question.value = asked;
    return question.focus();
  }
  if (!connection.session) {
    question.value = asked;
    return say("Show me something first: a camera, a screen, or the sample clip.", "problem");
  }
  try {
    chat.ask(asked, connection.ask(asked));
    question.value = "";
    unsay("problem");
  } catch (error) {
    question.value = asked;
    say(`${words(error)} Your question is kept below.`, "problem");
  }
  return undefined;
}

function cancel() {
  try {
    connection.cancel(chat.responseId);
  } catch {
    chat.interrupt("the connection broke.");
  }
}

async function awaitModel() {
  while (linkState === "idle" && !connection.session) {
    try {
      await ready();
      return unsay("link");
    } catch (error) {
      if (linkState === "idle") say(words(error), "link");
    }
    await new Promise((resolve) => setTimeout(resolve, 2000));
  }
  return undefined;
}

find("camera", HTMLButtonElement).addEventListener("click", () => void start("camera"));
find("screen", HTMLButtonElement).addEventListener("click", () => void start("screen"));
sampleButton.addEventListener("click", () => void start("sample"));
cameras.addEventListener("change", () => void start("camera", cameras.value));
navigator.mediaDevices?.addEventListener("devicechange", () => {
  if (source?.kind === "camera") void listInPicker(cameras.value);
});
stopButton.addEventListener("click", stopWatching);
forgetButton.addEventListener("click", async () => {
  await connection.forget();
  chat.note("Everything is forgotten.");
  if (source) void connection.watch(source.stream).catch((error) => say(words(error), "problem"));
});
preview.addEventListener("timeupdate", () => {
  if (source?.kind === "sample") suggestions.at(preview.currentTime);
});
find("form", HTMLFormElement).addEventListener("submit", (event) => {
  event.preventDefault();
  ask(question.value);
});
cancelButton.addEventListener("click", cancel);
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && chat.writing) cancel();
});
notice.querySelector("button")?.addEventListener("click", () => (notice.hidden = true));
window.addEventListener("pagehide", () => connection.leave());
window.addEventListener("pageshow", (event) => {
  // A page out of the back-forward cache has closed its session.
  if (event.persisted) location.reload();
});
void awaitModel();
