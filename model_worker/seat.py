"""One open session as its worker sees it: memory, lane, and the answer in progress."""

import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from messages.frames import Frame, FrameRejected
from messages.memory import MemoryDescribed
from messages.questions import Ask
from messages.sessions import MemoryStatus
from model_worker.answer import Answer
from model_worker.frame import FrameError, check_frame
from model_worker.picture import PictureError, decode
from model_worker.scheduler import Lane, Waiting
from model_worker.session import Moment, Session
from model_worker.snapshot_header import Note
from model_worker.watch import Watch

Size = tuple[int, int]

_REMEMBERED: Final = 64  # questions; more than can wait
_SHOWN: Final = 8


def shown(session: str) -> str:
    """A session's id in a log: who knows all of it may use the session."""
    return session[:_SHOWN]


@dataclass
class Reply:
    """An answer in progress. Times are of the rising clock, in seconds."""

    ask: Ask
    answer: Answer
    asked_at: float
    started_at: float
    newest_age: float
    first_text_at: float | None = None
    first_token_at: float | None = None
    token_at: float = 0.0
    tokens: int = 0
    announced: bool = False
    pieces: int = 0


@dataclass
class Intake:
    """Frames that are on their way into memory, with what is to be done."""

    watch: Watch
    frames: list[Waiting[Frame]]


@dataclass(frozen=True)
class Asked:
    """The time at which a question was asked: the memory then, None before the first frame, and
    the age of its newest frame in seconds."""

    moment: Moment | None
    newest_age: float


@dataclass
class Seat:
    """One open session. `times` has, by response, when each waiting question was asked; `asked`
    the latest responses."""

    memory: Session
    lane: Lane
    kv_bytes: int
    reply: Reply | None = None
    times: dict[str, Asked] = field(default_factory=dict)
    asked: deque[str] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))
    newest_captured_at: float | None = None
    newest_trace: str | None = None
    half_seen: bool = False
    """Whether frames have passed the vision tower and are not in memory yet."""
    changed: bool = False
    told_at: float = 0.0
    number: int = -1
    """Of the newest frame in memory."""
    saved: tuple[int, int] | None = None
    """What the latest snapshot holds: frames seen, and turns."""
    saved_at: float = 0.0
    apart_until: float = 0.0
    """Until then (rising clock) its work is done apart from that of others: see `hand`."""

    @property
    def suspect(self) -> str | None:
        """The session, where its work is done apart."""
        return self.lane.session if time.monotonic() < self.apart_until else None

    @property
    def progress(self) -> tuple[int, int]:
        """As `saved`, of the memory as it is now."""
        return self.memory.memory.frames_seen, self.memory.state.turns_in_all

    def notes(self) -> dict[str, Note]:
        """What the next owner has to know beside the memory."""
        return {
            "number": self.number,
            "lost_here": self.lane.lost_here,
            "lost_before": self.lane.lost_before,
            "captured_at": self.newest_captured_at,
            "saved_at": time.time(),
        }

    def resume(self, notes: Mapping[str, Note]) -> None:
        """Go on where the former owner stood, which left these notes."""

        def number(name: str) -> int:
            value = notes.get(name)
            return value if isinstance(value, int) else 0

        self.number = number("number") if "number" in notes else -1
        self.lane.resume(self.number, number("lost_here"), number("lost_before"))
        captured_at = notes.get("captured_at")
        if isinstance(captured_at, float):
            self.newest_captured_at = captured_at
        self.changed = True

    def imported(self, notes: Mapping[str, Note]) -> None:
        """Go on from a user's file, which has these notes: frames are counted on from those that
        were seen, and none of them was lost here."""
        seen = self.memory.memory.frames_seen
        captured_at = notes.get("captured_at")
        plausible = isinstance(captured_at, float) and 0 < captured_at <= time.time()
        self.resume({"number": seen - 1, "captured_at": captured_at if plausible else None})

    def now(self) -> Asked:
        """The present, for a question that is asked."""
        age = 0.0 if self.newest_captured_at is None else time.time() - self.newest_captured_at
        return Asked(self.memory.moment(), max(0.0, age))

    def take(
        self, count: int, size: Size | None, max_pixels: int
    ) -> tuple[Intake | None, list[FrameRejected]]:
        """The oldest `count` frames as work, and those that cannot be used. What the memory does
        not take yet waits on."""
        usable, pictures, rejected = [], [], []
        newest = self.memory.newest
        for waiting in self.lane.take_frames(count):
            frame = waiting.what
            try:
                picture = decode(frame.jpeg, size, max_pixels)
                check_frame(picture, frame.timestamp, newest)
            except (PictureError, FrameError) as error:
                rejected.append(FrameRejected(frame.session, frame.number, str(error)))
                continue
            newest = frame.timestamp
            usable.append(waiting)
            pictures.append(picture)
        if not usable:
            return None, rejected
        try:
            watch, taken = self.memory.prepare(pictures, [each.what.timestamp for each in usable])
        except FrameError as error:  # of a shape that the model cannot take
            rejected += [
                FrameRejected(each.what.session, each.what.number, str(error)) for each in usable
            ]
            return None, rejected
        self.lane.give_back(usable[taken:])
        return (Intake(watch, usable[:taken]) if taken else None), rejected

    def status(self) -> MemoryStatus:
        """What the memory holds, in numbers."""
        view = self.memory.memory
        return MemoryStatus(
            self.lane.session,
            tokens=view.tokens,
            peak_tokens=view.peak_tokens,
            cap_tokens=view.cap_tokens,
            kv_bytes=view.kv_bytes,
            frames_seen=view.frames_seen,
            frames_dropped=self.lane.frames_dropped,
            compressions=view.compressions,
            span=view.span,
            newest_captured_at=self.newest_captured_at,
        )

    def described(self) -> MemoryDescribed:
        """What the memory holds, token by token."""
        seen = self.memory.memory.describe()
        return MemoryDescribed(
            self.lane.session,
            frames=list(seen.frames),
            patches=seen.patches,
            shares=seen.share_bytes,
            rows=seen.rows,
            columns=seen.columns,
            tokens=seen.tokens,
            budget_tokens=seen.budget_tokens,
            cap_tokens=seen.cap_tokens,
            kv_bytes=seen.kv_bytes,
            bytes_per_token=seen.bytes_per_token,
            span=seen.span,
            next_compression_tokens=seen.next_compression_tokens,
            next_compaction_positions=seen.next_compaction_positions,
            compressions=seen.compressions,
            position_compactions=seen.position_compactions,
        )
