"""What waits for the model's thread: control messages in order, and each session's newest frames.

Filled by the thread that reads the broker, emptied by the thread that owns the model.
"""

import threading
from collections import deque
from dataclasses import dataclass
from typing import Final

from messages.codec import ToWorker
from messages.frames import Frame
from messages.keys import RING
from messages.sessions import OpenSession
from model_worker.snapshot_reader import SnapshotReader

MOST_ORDERS: Final = 1024


@dataclass(frozen=True)
class Abandon:
    """Nobody keeps this session alive any more."""

    session: str


@dataclass(frozen=True)
class Lost:
    """Another worker has this session now."""

    session: str


@dataclass(frozen=True)
class Resume:
    """A session that another worker had; `snapshot` is its memory as it was written last, and
    `problem` says why there is none. `deaths`: how many workers died lately while they had it."""

    wanted: OpenSession
    snapshot: SnapshotReader | None
    problem: str = ""
    deaths: int = 0

    @property
    def session(self) -> str:
        return self.wanted.session


@dataclass(frozen=True)
class Import:
    """A new session that begins with a snapshot; `problem` says why there is none."""

    wanted: OpenSession
    snapshot: SnapshotReader | None
    problem: str = ""

    @property
    def session(self) -> str:
        return self.wanted.session


Order = OpenSession | Resume | Import | ToWorker | Abandon | Lost
Mail = Order | Frame


class Mailbox:
    """Bounded: of frames a session's newest RING stay, and a full box makes its filler wait."""

    def __init__(self) -> None:
        self._controls: deque[Order] = deque()
        self._frames: dict[str, deque[Frame]] = {}
        self._changed: Final = threading.Condition()

    def put(self, message: Order) -> None:
        """Waits while MOST_ORDERS messages wait: more stay on the broker."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._controls) < MOST_ORDERS)
            self._controls.append(message)
            self._changed.notify_all()

    def put_now(self, message: Abandon | Lost) -> None:
        """Never waits: a session has few of these."""
        with self._changed:
            self._controls.append(message)
            self._changed.notify_all()

    def put_frame(self, frame: Frame) -> None:
        """Never waits. What is pushed out shows as a gap in the frames' numbers."""
        with self._changed:
            ring = self._frames.setdefault(frame.session, deque(maxlen=RING))
            ring.append(frame)
            self._changed.notify_all()

    @property
    def empty(self) -> bool:
        with self._changed:
            return not (self._controls or self._frames)

    def take(self, wait_seconds: float) -> list[Mail]:
        """Everything that waits, controls first; empty when nothing came in wait_seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self._controls or self._frames, wait_seconds)
            mail: list[Mail] = [*self._controls]
            for ring in self._frames.values():
                mail.extend(ring)
            self._controls.clear()
            self._frames.clear()
            self._changed.notify_all()
            return mail
