// The client in Node, against a real gateway at LOOKBACK_URL; a peer there repeats questions.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import net from "node:net";
import { test } from "node:test";

import { AnswerFailed, ApiError, Lookback, SessionClosed, Unreachable } from
  "../../../clients/js/index.js";

const url = process.env.LOOKBACK_URL;
const jpeg = await readFile(process.env.LOOKBACK_PICTURE);
const lookback = new Lookback(url);

/** A session that has seen something. */
async function filmed(gateway = lookback) {
  const session = await gateway.open();
  const seen = new Promise((resolve) => session.on("memory", resolve));
  const camera = await session.frames();
  assert.equal(await camera.send(jpeg, 1), true);
  assert.equal((await seen).frames_seen, 1);
  return { session, camera };
}

async function pieces(answer) {
  const written = [];
  for await (const piece of answer) written.push(piece);
  return written;
}

test("an answer comes piece by piece, and says what it rests on", async () => {
  const { session } = await filmed();
  const answer = session.ask("one two three", { metadata: { kitchen: "sink" }, temperature: 0 });
  assert.equal((await pieces(answer)).join("").trim(), "one two three");
  assert.equal(answer.status, "completed");
  assert.deepEqual(answer.about.span, [0, 7.5]);
  assert.equal(answer.response.metadata.kitchen, "sink");
  assert.equal(await session.ask("four five").whole(), "four five");
  await session.close();
});

test("a session goes on from its file", async () => {
  const session = await lookback.open();
  const file = await session.export("8-bit");
  assert.ok(file.size > 16);
  const again = await lookback.import(file);
  assert.notEqual(again.id, session.id);
  assert.equal(again.described.budget_tokens, 144);
  await assert.rejects(lookback.import(new Blob(["none"])), { code: "invalid_snapshot" });
  await session.close();
  await assert.rejects(session.export(), { status: 404 });
  await again.close();
});

test("an aborted answer is cancelled on the server, and throws the signal's reason", async () => {
  const { session } = await filmed();
  const others = [];
  session.on("event", (event) => event.type === "response.done" && others.push(event.response));
  const abort = new AbortController();
  const slow = session.ask("slowly", { signal: abort.signal });
  await assert.rejects(async () => {
    for await (const piece of slow) {
      assert.equal(piece.slice(0, 4), "and ");
      abort.abort(new Error("enough"));
    }
  }, /enough/);
  for await (const _ of session.ask("slowly again")) break; // which cancels it, too
  const stopped = session.ask("slowly, once more");
  stopped.cancel(); // before the server has named it
  await pieces(stopped);
  assert.equal(stopped.status, "cancelled");
  assert.equal(await session.ask("next").whole(), "next");
  assert.deepEqual(others.map(({ status }) => status), [
    "cancelled", "cancelled", "cancelled", "completed",
  ]);
  const before = session.ask("never sent", { signal: AbortSignal.abort(new Error("no")) });
  await assert.rejects(before.whole(), /no/);
  await session.close();
});

test("errors have a code, a message, and when to try again", async () => {
  await assert.rejects(lookback.join("unknown"), (error) => {
    assert.ok(error instanceof ApiError);
    assert.deepEqual([error.status, error.code], [404, "unknown_session"]);
    return true;
  });
  await assert.rejects(lookback.open({ budget_tokens: -1 }), { code: "invalid_request" });
  await assert.rejects(new Lookback("http://127.0.0.1:9").ready(), Unreachable);

  const session = await lookback.open();
  await assert.rejects(session.ask("anything").whole(), { code: "no_frames_yet" });
  const { session: other } = await filmed();
  await assert.rejects(other.ask("fail").whole(), (error) => {
    assert.ok(error instanceof AnswerFailed);
    assert.match(error.message, /It broke\./);
    return true;
  });
  const camera = await other.frames();
  await camera.send(new Uint8Array([1, 2, 3]));
  while (!camera.error) await new Promise((resolve) => setTimeout(resolve, 10));
  assert.equal(camera.error.code, "invalid_picture");
  await Promise.all([session.close(), other.close()]);
});

test("two clients of one session hear each other; its end is told", async () => {
  const { session } = await filmed();
  await session.ask("said before").whole();
  const heard = [];
  const other = await lookback.join(session.id, { listen: false });
  const closed = new Promise((resolve) => other.on("closed", resolve));
  other.on("answer", (answer) => heard.push(answer));
  await other.listen("event_0");
  await session.ask("said now").whole();
  assert.equal(await other.ask("mine").whole(), "mine");
  assert.deepEqual(heard.map(({ question, mine, text }) => [question, mine, text]), [
    ["said before", false, "said before"], ["said now", false, "said now"],
  ]);
  await session.close();
  const error = await closed;
  assert.ok(error instanceof SessionClosed);
  assert.equal(error.code, "closed");
  await assert.rejects(other.ask("too late").whole(), Unreachable);
});

test("pictures come with a question", async () => {
  const session = await lookback.open();
  const picture = new Blob([jpeg], { type: "image/jpeg" });
  assert.equal(await session.ask("and this", { pictures: [picture] }).whole(), "and this");
  await session.close();
});

test("what was said while the connection was cut is heard afterwards", async () => {
  const there = new URL(url);
  const open = new Set();
  const wire = net.createServer((here) => {
    const on = net.connect(Number(there.port), there.hostname);
    for (const end of [here, on]) {
      open.add(end);
      end.on("error", () => undefined).on("close", () => open.delete(end));
    }
    here.pipe(on).pipe(here);
  });
  await new Promise((resolve) => wire.listen(0, "127.0.0.1", resolve));
  const far = new Lookback(`http://127.0.0.1:${wire.address().port}`);
  const { session } = await filmed(far);
  const states = [];
  session.on("connection", (open) => states.push(open));
  const near = await lookback.join(session.id);
  const slow = session.ask("slowly");
  await slow[Symbol.asyncIterator]().next();
  for (const end of open) end.destroy();
  while (states.length < 1) await new Promise((resolve) => setTimeout(resolve, 10));
  const done = new Promise((resolve) => near.on("event", (event) =>
    event.type === "response.done" && resolve(event.response)));
  near.send({ type: "response.cancel" });
  const { output } = await done;
  for await (const _ of slow);
  assert.equal(slow.status, "cancelled");
  assert.equal(slow.text.trim(), output[0].content[0].text.trim());
  assert.deepEqual(states, [false, true]);
  session.leave(); // It would look for the server for ever.
  await near.close();
  wire.close();
  for (const end of open) end.destroy();
});
