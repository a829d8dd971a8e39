/**
 * The page: joins what is shown to what is connected.
 */

import { ApiError, Connection, Lookback } from "../clients/js/index.js";
import { Chat } from "./chat.js";
import { words } from "./errors.js";
import { Key } from "./key.js";
import { MemoryPanel } from "./memory.js";
import { Meter } from "./meter.js";
import { address, find } from "./page.js";
import { Settings } from "./settings.js";
import { Sharing } from "./sharing.js";
import { Status } from "./status.js";
import { Suggestions, sampleQuestions } from "./suggestions.js";
import { Viewer } from "./viewer.js";
import { Watched } from "./watched.js";

/** @typedef {import("../clients/js/index.js").LookbackError} LookbackError */
/** @typedef {import("../clients/js/index.js").ServerEvent} ServerEvent */
/** @typedef {import("../clients/js/index.js").Session} Session */
/** @typedef {import("../clients/js/index.js").State} State */
/** @typedef {import("./camera.js").Source} Source */

const forgetButton = find("forget", HTMLButtonElement);
const cancelButton = find("cancel", HTMLButtonElement);
const question = find("question", HTMLInputElement);

/** The memory of somebody else that a link leads to; null on one's own page. */
const joining = new URLSearchParams(location.search).get("session");
const mayFilm = !joining || new URLSearchParams(location.search).has("camera");

const key = new Key(joining);
const lookback = new Lookback(address("."), {
  token: key.token,
  authorize: (error) => key.ask(error),
});
const status = new Status();
const meter = new Meter(find("meter", HTMLDivElement));
const chat = new Chat(
  find("log", HTMLOListElement),
  find("announcer", HTMLParagraphElement),
  (writing) => {
    if (!writing && document.activeElement === cancelButton) question.focus();
    cancelButton.hidden = !writing;
  },
);
const suggestions = new Suggestions(find("suggestions", HTMLUListElement), ask);
const settings = new Settings();
const memory = new MemoryPanel(() => connection.session?.describe() ?? null);
const watched = new Watched(status);
const connection = new Connection(lookback, {
  options: () => settings.begin(),
  onState: showLink,
  onSession: showSession,
  onMemoryLost: (why) => {
    const next = joining ? "Ask for another link." : "A new one begins empty.";
    chat.note(`The memory was lost: ${why.message.replace(/\.$/, "")}. ${next}`);
  },
  onProblem: (error) => status.say(words(error), "problem"),
  onReplaced: () => {
    viewer.release();
    status.say("Another camera has taken over: its pictures go into this memory now.", "problem");
  },
});
const viewer = new Viewer({
  onSource: send,
  onStop: () => {
    suggestions.use(null);
    connection.pause();
  },
  onChange: () => watched.film(viewer.source !== null, viewer.over),
  onClip: (seconds) => suggestions.at(seconds),
  onProblem: (message) => {
    if (message) status.say(message, "problem");
    else status.unsay("problem");
  },
});
const sharing = new Sharing({
  session: share,
  guarded: () => lookback.token !== null,
  onProblem: (message) => status.say(message, "problem"),
});

/**
 * @param {State} state
 * @param {LookbackError | null} error
 */
function showLink(state, error) {
  watched.link(state);
  if (error) {
    const again = error instanceof ApiError && error.retryAfter !== null;
    const when = again ? ` Trying again in ${Math.ceil(error.retryAfter ?? 0)} s.` : "";
    status.say(words(error) + when, "link");
  } else if (["live", "open", "idle"].includes(state)) {
    status.unsay("link");
  }
  if (state === "live") void viewer.play();
}

/** @param {Session | null} session */
function showSession(session) {
  meter.open(session?.described ?? null);
  memory.clear();
  sharing.clear();
  watched.begin(session !== null, joining !== null);
  settings.show(session !== null);
  forgetButton.hidden = !session || joining !== null;
  if (!session) return;
  viewer.wanted = session.described;
  chat.begin();
  session.on("event", hear);
  session.on("memory", (told) => meter.update(told));
  session.on("camera", (camera) => watched.hear(camera));
  session.on("answer", (answer) => chat.show(answer));
  const { model } = session.described;
  const small = model.includes("lookback-mini");
  suggestions.fit(small);
  find("help", HTMLDetailsElement).classList.toggle("large-world", !small);
  find("about", HTMLElement).textContent = small
    ? "The embedded model knows 128 objects. What can it answer?"
    : `Answers come from ${model}`;
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
  if (memory.hear(event)) return;
  if (event.type === "lookback.frame.rejected" && event.message) {
    status.say(`A picture was not used: ${event.message}`, "problem");
  } else if (event.type === "lookback.session.moving" && event.message) {
    status.say(event.message, "link");
  } else if (event.type === "lookback.session.moved" && event.message) {
    status.unsay("link");
    chat.note(event.message);
    if (!event.restored) chat.begin();
  } else if (event.type === "error" && event.error && !event.error.event_id) {
    status.say(event.error.message, "problem");
  }
}

/** @param {string} text */
function ask(text) {
  const asked = text.trim();
  const { session } = connection;
  if (!asked) {
    question.focus();
  } else if (!session) {
    question.value = asked;
    status.say("Show me something first: a camera, a screen, or the sample clip.", "problem");
  } else if (!session.open) {
    question.value = asked;
    status.say("There is no connection to the server just now. Your question is kept.", "problem");
  } else {
    chat.show(session.ask(asked));
    question.value = "";
    status.unsay("problem");
  }
}

async function forget() {
  const { source } = viewer;
  await connection.forget();
  chat.note("Everything is forgotten.");
  if (!source || viewer.over) return connection.pause();
  try {
    await connection.watch(source.stream);
  } catch (error) {
    status.say(words(error), "problem");
  }
  return undefined;
}

/** @returns {Promise<Session | null>} The memory that others are let into. */
async function share() {
  if (!connection.session) await connection.begin();
  connection.shared = connection.session !== null;
  watched.share();
  return connection.session;
}

/** @param {string} id */
async function join(id) {
  try {
    await connection.join(id);
  } catch (error) {
    watched.link("idle");
    const gone = error instanceof ApiError && error.status === 404;
    const what = "This memory is not there any more, or is not yours. Ask for another link.";
    status.say(gone ? what : words(error), "link");
  }
}

/** Says so while there is no model to answer, before anybody asks. */
async function awaitModel() {
  while (!connection.session) {
    try {
      viewer.wanted = await lookback.ready();
      if (!connection.session) status.unsay("link");
      return;
    } catch (error) {
      if (connection.session || !watched.idle) return;
      const unready = error instanceof ApiError && error.status === 503;
      const what = "The model is not ready yet. This page goes on by itself when it is.";
      status.say(unready ? what : words(error), "link");
      if (error instanceof ApiError && !unready) return;
    }
    await new Promise((resolve) => setTimeout(resolve, 2000));
  }
}

document.body.classList.toggle("joined", joining !== null);
document.body.classList.toggle("asking", !mayFilm);
forgetButton.addEventListener("click", () => void forget());
cancelButton.addEventListener("click", () => chat.stop());
find("form", HTMLFormElement).addEventListener("submit", (event) => {
  event.preventDefault();
  ask(question.value);
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && chat.writing) chat.stop();
});
window.addEventListener("pagehide", () => connection.leave());
window.addEventListener("pageshow", (event) => {
  // A page out of the back-forward cache has closed its session.
  if (event.persisted) location.reload();
});
if (joining) void join(joining);
else void awaitModel();
