"""A protocol peer in the worker's place."""

import json
import struct
import threading
import time
from typing import Any

from msgspec.structs import replace

from broker.connection import connect
from messages import keys
from messages.answers import AnswerDelta, AnswerDone, AnswerStarted, Span
from messages.codec import (
    ToGateway,
    ToWorker,
    decode_frame,
    decode_piece,
    decode_to_worker,
    encode,
)
from messages.files import Piece, SaveSession
from messages.frames import Frame
from messages.memory import DescribeMemory, MemoryDescribed
from messages.questions import Ask, Cancel
from messages.sessions import (
    CloseSession,
    MemoryStatus,
    SessionMoved,
    SessionOpened,
    SessionRecord,
    SessionRefused,
)
from messages.workers import PROTOCOL, WorkerCard
from model_worker.leases import Leases
from model_worker.line import Line

CARD = WorkerCard(
    worker="peer-1", model="peer", family="none", device="cpu", frame_size=(96, 96),
    max_pixels=9216, budget_tokens=216, cap_tokens=288, tokens_per_frame=9,
    kv_bytes_per_session=1000, sessions=0, max_sessions=4, kv_bytes_used=0, frames_per_second=0.0,
    kv_bytes=4000, protocol=PROTOCOL,
)  # fmt: skip


def snapshot(frames: int = 0, seconds: float | None = None, size: int = 0) -> bytes:
    """What the peer takes for a session's memory, as far as a gateway reads it, and so many bytes
    more."""
    header = json.dumps(
        {
            "model": {"name": "peer"},
            "shape": {"budget": 144},
            "watching": {"frames": frames, "newest": seconds},
            "conversation": {"instructions": "Be short."},
        }
    ).encode()
    return struct.pack("<8sII", b"\x89LBMEM\r\n", 1, len(header)) + header + bytes(size)


class PeerWorker:
    """Speaks the worker's messages and understands nothing.

    It repeats each question word by word, a session's one after the other; one that begins with
    "slowly" goes on until cancelled; one with "fail" fails. `watching` False leaves frames in the
    ring, `describing` False leaves requests for a description unanswered, `taking` False leaves
    sessions in the queue, `living` False lets its leases run out, and `exporting` is the file that
    it gives of any session, or why it gives none; `imported` are those that it was given.
    """

    def __init__(self, url: str, name: str = CARD.worker) -> None:
        self._broker = connect(url)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.heard: list[tuple[float, ToWorker]] = []
        self.frames: list[Frame] = []
        self.opened: list[SessionRecord] = []
        self.refusal: str | None = None
        self.exporting: bytes | str = snapshot()
        self.imported: list[bytes] = []
        self.watching = self.describing = self.taking = self.living = True
        self.card = replace(CARD, worker=name)
        self.leases = Leases(self._broker, name)
        self._line = Line(
            self._broker, self.leases, lambda wanted: 1, "peer", kv_bytes=1000, max_sessions=1000
        )
        self._asked: dict[str, list[Ask]] = {}  # the first one of a session is being answered
        self._written = 0

    def __enter__(self) -> "PeerWorker":
        self.beat()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._thread.is_alive():
            self.stop()
            self.leases.farewell()
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

    def beat(self) -> None:
        self._broker.set(keys.worker(self.card.worker), encode(self.card), px=1500)
        self._line.offer()
        for session in self.leases.renew(self.card)[1]:
            self._asked.pop(session, None)

    def _run(self) -> None:
        beaten = time.monotonic()
        while not self._stop.is_set():
            if self.living and time.monotonic() - beaten > 0.3:
                beaten = time.monotonic()
                self.beat()
            if self.living and self.taking:
                self._take_waiting()
            if self.living:
                self._read()
            else:
                time.sleep(0.02)
            for waiting in self._asked.values():
                if waiting:
                    self._written += 1
                    self._write(waiting[0], self._written, "and ")

    def _take_waiting(self) -> None:
        while (taken := self._line.next()) is not None:
            lease, record = taken
            session, budget = lease.session, record.wanted.budget_tokens or 216
            self.opened.append(record)
            if record.imported is not None:
                self._import(record.imported.channel)
            if self.refusal is not None:
                self.say(SessionRefused(session, self.refusal))
                continue
            self.say(
                SessionOpened(
                    session,
                    "peer",
                    budget,
                    budget + 72,
                    1000,
                    self.card.worker,
                    self.card.frame_size,
                    self.card.max_pixels,
                )
            )
            if record.opened is not None:
                [(lease.inbox_from, _)] = self._broker.xrevrange(keys.inbox(session), count=1)
                lost = "What it had seen is lost."
                self.say(SessionMoved(session, self.card.worker, False, None, False, lost))

    def _read(self) -> None:
        followed, positions = {}, {keys.WAKE: b"$"}
        for lease in self.leases.all():
            inbox, frames = keys.inbox(lease.session), keys.frames(lease.session)
            followed |= {inbox: lease, frames: lease}
            positions[inbox] = lease.inbox_from
            if self.watching:
                positions[frames] = lease.frames_from
        for key, entries in self._broker.xread(positions, block=20):
            for entry, fields in entries:
                stream = key.decode()
                if stream == keys.inbox(stream.rpartition(":")[2]):
                    followed[stream].inbox_from = entry
                    self._take(decode_to_worker(fields[keys.FIELD]))
                elif stream in followed:
                    followed[stream].frames_from = entry
                    frame = decode_frame(fields[keys.FIELD])
                    self.frames.append(frame)
                    self._remember(frame)

    def _take(self, message: ToWorker) -> None:
        self.heard.append((time.monotonic(), message))
        match message:
            case CloseSession():
                lease = self.leases.get(message.session)
                if lease is not None:
                    pipe = self._broker.pipeline()
                    self.leases.release(pipe, lease)
                    pipe.execute()
                    self.leases.forget(message.session)
            case Ask():
                waiting = self._asked.setdefault(message.session, [])
                waiting.append(message)
                if len(waiting) == 1:
                    self._answer_all(waiting)
            case Cancel():
                self._cancel(message)
            case SaveSession():
                self._export(message.channel)
            case DescribeMemory():
                if self.describing:
                    self.describe(message.session)

    def _import(self, channel: str) -> None:
        parts = []
        while (found := self._broker.blpop([keys.file(channel)], timeout=5)) is not None:
            piece = decode_piece(found[1])
            parts.append(piece.data)
            if piece.last:
                self.imported.append(b"".join(parts))
                return

    def _export(self, channel: str) -> None:
        file = self.exporting
        if isinstance(file, str):
            self._broker.rpush(keys.file(channel), encode(Piece(problem=file, last=True)))
            return
        for start in range(0, len(file), 1000):
            piece = Piece(file[start : start + 1000])
            self._broker.rpush(keys.file(channel), encode(piece))
        self._broker.rpush(keys.file(channel), encode(Piece(last=True)))

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
