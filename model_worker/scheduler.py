"""Which bounded pieces of work come next: order alone, no tensors and no clock of its own.

Every turn takes, in this order: one decode step for each answer in progress, one prefill chunk
of the question that has waited longest, and the frames that have waited longest, up to a number
(compression passes included); while somebody waits for words, only frames that have waited for
PATIENCE_SECONDS. So no streaming answer waits for more than one prefill chunk and that number of
frames, and no session's frames wait for the end of another session's talk.

Frames are never queued without bound: a session keeps its newest `RING`, and counts what it
pushed out. Times are seconds on any one rising clock.
"""

import heapq
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Final, Generic, TypeVar

from messages.frames import Frame
from messages.keys import RING
from messages.questions import MOST_WAITING, Ask

PATIENCE_SECONDS: Final = 0.2
"""How long frames give way to answers that are being written: most are over by then."""
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
    """One session's work. `can_watch` is whether its memory takes frames now, `can_answer` whether
    there is something that a question could be about."""

    session: str
    stage: Stage = Stage.IDLE
    can_watch: bool = True
    can_answer: bool = True
    frames: deque[Waiting[Frame]] = field(default_factory=deque)
    questions: deque[Waiting[Ask]] = field(default_factory=deque)
    asked_at: float = 0.0
    lost_here: int = 0
    """Frames that never reached memory though the gateway sent them."""
    lost_before: int = 0
    """Frames that the gateway counts as thrown away."""
    seen_before: int = -1
    """The number of the last frame that the session's former owner had in memory."""
    _last_number: int = -1

    def resume(self, number: int, lost_here: int, lost_before: int) -> None:
        """Go on where the session's former owner stood: after the frame of this number."""
        self.seen_before = self._last_number = number
        self.lost_here, self.lost_before = lost_here, lost_before

    @property
    def frames_dropped(self) -> int:
        return self.lost_here + self.lost_before

    def add_frame(self, frame: Frame, now: float) -> None:
        """Keep it; the oldest waiting frame goes when there are RING already."""
        if frame.number <= self.seen_before:
            return  # it stands in the broker's ring still
        self.lost_here += max(0, frame.number - self._last_number - 1)
        self._last_number = max(frame.number, self._last_number)
        self.lost_before = max(self.lost_before, frame.dropped)
        if len(self.frames) == RING:
            self.frames.popleft()
            self.lost_here += 1
        self.frames.append(Waiting(frame, now))

    def take_frames(self, count: int) -> list[Waiting[Frame]]:
        """The oldest ones."""
        return [self.frames.popleft() for _ in range(min(count, len(self.frames)))]

    def give_back(self, frames: list[Waiting[Frame]]) -> None:
        """Frames, oldest first, that could not be watched yet; they are the next again."""
        self.frames.extendleft(reversed(frames))

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
        if self.stage is Stage.IDLE and self.questions and self.can_answer:
            return self.questions[0].since
        return None


@dataclass(frozen=True)
class Turn:
    """One turn's work by session, in the order of its importance; `watch` has a session and how
    many of its frames."""

    decode: tuple[str, ...] = ()
    prefill: str | None = None
    watch: tuple[tuple[str, int], ...] = ()

    @property
    def answering(self) -> bool:
        """Whether somebody waits for the next word or the first one."""
        return bool(self.decode or self.prefill)

    def __bool__(self) -> bool:
        return bool(self.answering or self.watch)

    def of(self, theirs: Callable[[str], bool]) -> "Turn":
        """What of it is for these sessions."""
        return Turn(
            tuple(session for session in self.decode if theirs(session)),
            self.prefill if self.prefill is not None and theirs(self.prefill) else None,
            tuple(each for each in self.watch if theirs(each[0])),
        )


class Scheduler:
    """The lanes of all sessions, and the next turn. At most `max_answers` are written at once."""

    def __init__(self, max_answers: int) -> None:
        self._lanes: dict[str, Lane] = {}
        self._max_answers = max_answers

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

    def next_turn(self, now: float, max_frames: Callable[[bool], int]) -> Turn:
        """What to do now; false where there is nothing. `max_frames`: how many frames a turn may
        take, by whether an answer is being written in it."""
        lanes = self._lanes.values()
        writing = sum(lane.stage is not Stage.IDLE for lane in lanes)
        full = writing >= self._max_answers
        decode = tuple(lane.session for lane in lanes if lane.stage is Stage.DECODE)
        waits = (
            (lane.question_since, lane.session)
            for lane in lanes
            if not (full and lane.stage is Stage.IDLE)
        )
        turn = Turn(decode, _longest(waits))
        since = now - PATIENCE_SECONDS if turn.answering else now
        return replace(turn, watch=self._oldest_frames(max_frames(turn.answering), since))

    def _oldest_frames(self, count: int, since: float) -> tuple[tuple[str, int], ...]:
        """The `count` frames that have waited longest, `since` then at least, by session."""
        waiting = heapq.nsmallest(
            count,
            (
                (frame.since, lane.session)
                for lane in self._lanes.values()
                if lane.can_watch
                for frame in lane.frames
                if frame.since <= since
            ),
        )
        return tuple(Counter(session for _, session in waiting).items())


def _longest(waits: Iterator[tuple[float | None, str]]) -> str | None:
    """The session that has waited longest."""
    known = ((since, session) for since, session in waits if since is not None)
    return min(known, default=(0.0, None))[1]
