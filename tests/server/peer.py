"""A protocol peer in the worker's place."""

import threading
import time
from typing import Any

from broker.connection import connect
from messages import keys
from messages.answers import AnswerDelta, AnswerDone, AnswerStarted, Span
from messages.codec import ToGateway, ToWorker, decode_frame, decode_to_worker, encode
from messages.frames import Frame
from messages.memory import DescribeMemory, MemoryDescribed
from messages.questions import Ask, Cancel
from messages.sessions import (
    CloseSession,
    MemoryStatus,
    OpenSession,
    SessionOpened,
    SessionRefused,
)
from messages.workers import WorkerCard

CARD = WorkerCard(
    worker="peer-1", model="peer", family="none", device="cpu", frame_size=(96, 96),
    max_pixels=9216, budget_tokens=216, cap_tokens=288, tokens_per_frame=9,
    kv_bytes_per_session=1000, sessions=0, max_sessions=4, kv_bytes_used=0, frames_per_second=0.0,
)  # fmt: skip


class PeerWorker:
    """Speaks the worker's messages and understands nothing.

    It repeats each question word by word, a session's one after the other; one that begins with
    "slowly" goes on until cancelled; one with "fail" fails. `watching` False leaves frames in the
    ring, `describing` False leaves requests for a description unanswered.
    """

    def __init__(self, url: str) -> None:
        self._broker = connect(url)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.heard: list[tuple[float, ToWorker]] = []
        self.frames: list[Frame] = []
        self.refusal: SessionRefused | None = None
        self.watching = True
        self.showing_card = True
        self.card = CARD
        self.describing = True
        self._asked: dict[str, list[Ask]] = {}  # the first one of a session is being answered
        self._read_to: dict[str, Any] = {}

    def __enter__(self) -> "PeerWorker":
        last = self._broker.xrevrange(keys.CONTROL, count=1)
        self._read_to = {keys.CONTROL: last[0][0] if last else "0"}
        self._show_card()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._thread.is_alive():
            self.stop()
            self._broker.delete(keys.worker(self.card.worker))
        self._broker.close()

    def stop(self) -> None:
        """Fall silent."""
        self._stop.set()
        self._thread.join()

    def say(self, message: ToGateway) -> None:
        key = keys.events(message.session)
        self._broker.xadd(key, {keys.FIELD: encode(message)}, maxlen=keys.EVENTS_LENGTH)

    def of(self, kind: type, session: str) -> list[Any]:
        """What was heard of this kind for this session."""
        return [m for _, m in list(self.heard) if isinstance(m, kind) and m.session == session]

    def _show_card(self) -> None:
        key = keys.worker(self.card.worker)
        self._broker.set(key, encode(self.card), px=1500)

    def _run(self) -> None:
        shown = time.monotonic()
        while not self._stop.is_set():
            if self.showing_card and time.monotonic() - shown > 0.3:
                shown = time.monotonic()
                self._show_card()
            wanted = {
                key: at for key, at in self._read_to.items() if self.watching or key == keys.CONTROL
            }
            for key, entries in self._broker.xread(wanted, block=20):
                for entry, fields in entries:
                    self._read_to[key.decode()] = entry
                    self._take(key.decode(), fields[keys.FIELD])
            for waiting in self._asked.values():
                if waiting:
                    self._write(waiting[0], 0, "and ")

    def _take(self, key: str, data: bytes) -> None:
        if key != keys.CONTROL:
            frame = decode_frame(data)
            self.frames.append(frame)
            self._remember(frame)
            return
        message = decode_to_worker(data)
        self.heard.append((time.monotonic(), message))
        match message:
            case OpenSession():
                if self.refusal is not None:
                    refusal = self.refusal
                    self.say(SessionRefused(message.session, refusal.message, refusal.retry_after))
                    return
                self._read_to[keys.frames(message.session)] = "0"
                budget = message.budget_tokens or 216
                self.say(SessionOpened(message.session, "peer", budget, budget + 72, 1000))
            case CloseSession():
                self._read_to.pop(keys.frames(message.session), None)
            case Ask():
                waiting = self._asked.setdefault(message.session, [])
                waiting.append(message)
                if len(waiting) == 1:
                    self._answer_all(waiting)
            case Cancel():
                self._cancel(message)
            case DescribeMemory():
                if self.describing:
                    self.describe(message.session)

    def describe(self, session: str) -> None:
        seen = [frame.timestamp for frame in self.frames if frame.session == session]
        self.say(
            MemoryDescribed(
                session=session, frames=seen, patches=9, shares=bytes(range(9)) * len(seen),
                rows=3, columns=3, tokens=9 * len(seen), budget_tokens=216, cap_tokens=288,
                kv_bytes=1000, bytes_per_token=4, span=(seen[0], seen[-1]) if seen else None,
                next_compression_tokens=288 - 9 * len(seen), next_compaction_positions=None,
                compressions=0, position_compactions=0,
            )
        )  # fmt: skip

    def _cancel(self, cancel: Cancel) -> None:
        waiting = self._asked.get(cancel.session, [])
        for ask in waiting:
            if ask.response == cancel.response:
                written = "and " if ask is waiting[0] else ""
                waiting.remove(ask)
                self.say(AnswerDone(ask.session, ask.response, "cancelled", written))
                if written:
                    self._answer_all(waiting)
                return

    def _answer_all(self, waiting: list[Ask]) -> None:
        """Those asked, up to one that goes on until it is cancelled."""
        while waiting and self._answer(waiting[0]):
            waiting.pop(0)

    def _remember(self, frame: Frame) -> None:
        seen = sum(f.session == frame.session for f in self.frames)
        lost = frame.number + 1 - seen + frame.dropped
        self.say(
            MemoryStatus(
                session=frame.session,
                tokens=9 * seen,
                peak_tokens=9 * seen,
                cap_tokens=288,
                kv_bytes=1000,
                frames_seen=seen,
                frames_dropped=lost,
                compressions=0,
                span=(0.0, frame.timestamp),
                newest_captured_at=frame.captured_at,
            )
        )

    def _answer(self, ask: Ask) -> bool:
        """Whether the answer has ended."""
        if "fail" in ask.text:
            self.say(AnswerDone(ask.session, ask.response, "failed", message="It broke."))
            return True
        self.say(AnswerStarted(ask.session, ask.response, Span(0.0, 7.5, 0.25), 4, 2))
        if ask.text.startswith("slowly"):
            return False
        words = ask.text.split(" ")
        for index, word in enumerate(words):
            self._write(ask, index, word + " ")
        self.say(
            AnswerDone(ask.session, ask.response, "completed", ask.text, "", 11, len(words), 0, 0.5)
        )
        return True

    def _write(self, ask: Ask, index: int, text: str) -> None:
        self.say(AnswerDelta(ask.session, ask.response, index, text))
