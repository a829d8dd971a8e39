"""Which bounded piece of work comes next: order alone, no tensors and no clock of its own.

Every turn takes, in this order: one decode step for each answer in progress, one prefill chunk
of the question that has waited longest, one frame of the session whose oldest frame has waited
longest (its compression pass included). So no streaming answer waits for more than one prefill
chunk and one frame, and no session's frames wait for another session's talk.

Frames are never queued without bound: a session keeps its newest `RING`, and counts what it
pushed out. Times are seconds on any one rising clock.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, Generic, TypeVar

from messages.frames import Frame
from messages.keys import RING
from messages.questions import MOST_WAITING, Ask

MAX_WAITING_QUESTIONS: Final = MOST_WAITING

T = TypeVar("T")


class Stage(Enum):
    """Where a session's answer is."""

    IDLE = "idle"
    PREFILL = "prefill"
    DECODE = "decode"


@dataclass(frozen=True)
class Waiting(Generic[T]):
    """Something that came in, and when."""

    what: T
    since: float


@dataclass
class Lane:
    """One session's work. `can_watch` is whether its memory takes a frame now."""

    session: str
    stage: Stage = Stage.IDLE
    can_watch: bool = True
    frames: deque[Waiting[Frame]] = field(default_factory=deque)
    questions: deque[Waiting[Ask]] = field(default_factory=deque)
    asked_at: float = 0.0
    lost_here: int = 0
    """Frames that never reached memory though the gateway sent them."""
    lost_before: int = 0
    """Frames that the gateway counts as thrown away."""
    _last_number: int = -1

    @property
    def frames_dropped(self) -> int:
        return self.lost_here + self.lost_before

    def add_frame(self, frame: Frame, now: float) -> None:
        """Keep it; the oldest waiting frame goes when there are RING already."""
        self.lost_here += max(0, frame.number - self._last_number - 1)
        self._last_number = max(frame.number, self._last_number)
        self.lost_before = max(self.lost_before, frame.dropped)
        if len(self.frames) == RING:
            self.frames.popleft()
            self.lost_here += 1
        self.frames.append(Waiting(frame, now))

    def add_question(self, ask: Ask, now: float) -> bool:
        """False where too many wait already."""
        if len(self.questions) == MAX_WAITING_QUESTIONS:
            return False
        self.questions.append(Waiting(ask, now))
        return True

    def take_question(self) -> Waiting[Ask]:
        """The oldest one, whose answer begins to be prefilled."""
        assert self.stage is Stage.IDLE
        waiting = self.questions.popleft()
        self.stage, self.asked_at = Stage.PREFILL, waiting.since
        return waiting

    def withdraw(self, response: str) -> bool:
        """Forget a question that waits. False where none of that name waits."""
        for waiting in self.questions:
            if waiting.what.response == response:
                self.questions.remove(waiting)
                return True
        return False

    @property
    def question_since(self) -> float | None:
        """When the question that is to be prefilled next came in, None where there is none."""
        if self.stage is Stage.PREFILL:
            return self.asked_at
        if self.stage is Stage.IDLE and self.questions:
            return self.questions[0].since
        return None

    @property
    def frame_since(self) -> float | None:
        """When the oldest frame that could be watched now came in, None where there is none."""
        return self.frames[0].since if self.frames and self.can_watch else None


@dataclass(frozen=True)
class Turn:
    """One turn's work by session, in the order in which it is done."""

    decode: tuple[str, ...] = ()
    prefill: str | None = None
    watch: str | None = None

    def __bool__(self) -> bool:
        return bool(self.decode or self.prefill or self.watch)


class Scheduler:
    """The lanes of all sessions, and the next turn."""

    def __init__(self) -> None:
        self._lanes: dict[str, Lane] = {}

    def __iter__(self) -> Iterator[Lane]:
        return iter(self._lanes.values())

    def __len__(self) -> int:
        return len(self._lanes)

    def open(self, session: str) -> Lane:
        assert session not in self._lanes
        lane = self._lanes[session] = Lane(session)
        return lane

    def close(self, session: str) -> None:
        self._lanes.pop(session, None)

    def get(self, session: str) -> Lane | None:
        return self._lanes.get(session)

    def next_turn(self) -> Turn:
        """What to do now; false where there is nothing."""
        lanes = self._lanes.values()
        return Turn(
            decode=tuple(lane.session for lane in lanes if lane.stage is Stage.DECODE),
            prefill=_longest((lane.question_since, lane.session) for lane in lanes),
            watch=_longest((lane.frame_since, lane.session) for lane in lanes),
        )


def _longest(waits: Iterator[tuple[float | None, str]]) -> str | None:
    """The session that has waited longest."""
    known = ((since, session) for since, session in waits if since is not None)
    return min(known, default=(0.0, None))[1]
