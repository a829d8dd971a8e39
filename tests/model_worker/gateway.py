"""A real worker process with a tiny model behind a real broker; the test is its gateway."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np

from broker.connection import connect
from broker.embedded import dies_with
from messages import keys
from messages.codec import ToGateway, ToWorker, decode_card, decode_to_gateway, encode
from messages.frames import Frame
from messages.sessions import (
    MemoryStatus,
    OpenSession,
    SessionOpened,
    SessionRecord,
)
from messages.workers import PROTOCOL, WorkerCard

WAIT_SECONDS = 60.0
MAX_SESSIONS = 3
T = TypeVar("T")


class Peer:
    """Writes what a gateway writes and reads what it reads."""

    def __init__(self, url: str) -> None:
        self.client = connect(url)
        self._last = 0

    def cards(self) -> list[WorkerCard]:
        names = list(self.client.scan_iter(keys.WORKERS))
        return [decode_card(data) for data in (self.client.mget(names) if names else []) if data]

    def card(self) -> WorkerCard | None:
        return next(iter(self.cards()), None)

    def open(self, budget_tokens: int | None = None, *, alive_seconds: int = 600) -> str:
        self._last += 1
        session = f"s{self._last}-{time.monotonic_ns()}"
        self.client.set(keys.alive(session), 1, ex=alive_seconds)
        wanted = OpenSession(session, budget_tokens)
        self._queue(SessionRecord(PROTOCOL, wanted, self._last, time.time()), self._last)
        return session

    def requeue(self, session: str) -> None:
        """As a gateway does for a session that has lost its worker."""
        opened = self.wait(session, SessionOpened)
        record = SessionRecord(PROTOCOL, OpenSession(session), 0, time.time(), opened)
        self._queue(record, keys.FIRST_IN_LINE)

    def _queue(self, record: SessionRecord, turn: float) -> None:
        self.client.set(keys.session(record.wanted.session), encode(record))
        self.client.zadd(keys.QUEUE, {record.wanted.session: turn})
        self.client.xadd(keys.WAKE, {keys.FIELD: b""}, maxlen=1)

    def control(self, message: ToWorker) -> None:
        entry = {keys.FIELD: encode(message)}
        self.client.xadd(keys.inbox(message.session), entry, maxlen=keys.INBOX_LENGTH)

    def frame(self, session: str, number: int, jpeg: bytes | None = None, **more: Any) -> None:
        given = {"timestamp": float(number), "captured_at": time.time()} | more
        frame = Frame(session, number, jpeg=jpeg or picture(32, 32, number), **given)
        entry = {keys.FIELD: encode(frame)}
        self.client.xadd(keys.frames(session), entry, maxlen=keys.RING, approximate=False)

    def events(self, session: str) -> list[ToGateway]:
        entries = self.client.xrange(keys.events(session))
        return [decode_to_gateway(fields[keys.FIELD]) for _, fields in entries]

    def wait(
        self, session: str, kind: type[T], where: Callable[[T], bool] = lambda event: True
    ) -> T:
        """The first such event."""

        def find() -> T | None:
            found = (e for e in self.events(session) if isinstance(e, kind) and where(e))
            return next(found, None)

        event = eventually(find, f"{kind.__name__} among {self.events(session)}")
        assert event is not None
        return event

    def opened(self, *given: Any, **more: Any) -> str:
        session = self.open(*given, **more)
        self.wait(session, SessionOpened)
        return session

    def seen(self, session: str, count: int) -> MemoryStatus:
        return self.wait(session, MemoryStatus, lambda status: status.frames_seen == count)


def eventually(find: Callable[[], T], what: str, seconds: float = WAIT_SECONDS) -> T:
    deadline = time.monotonic() + seconds
    while not (found := find()):
        assert time.monotonic() < deadline, f"there was no {what}"
        time.sleep(0.02)
    return found


def picture(width: int, height: int, seed: int = 0) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return bytes(cv2.imencode(".jpg", pixels)[1])


def command(model: Path | str, url: str, snapshots: Path | str = "off") -> dict[str, Any]:
    environment = os.environ | {
        "LOOKBACK_SNAPSHOTS": str(snapshots),
        "LOOKBACK_SNAPSHOT_SECONDS": "0.5",
        "LOOKBACK_ABANDONED_SECONDS": "1",
        "LOOKBACK_BROKER_URL": url,
        "LOOKBACK_MODEL": str(model),
        "LOOKBACK_THREADS": "1",
        "LOOKBACK_MAX_SESSIONS": str(MAX_SESSIONS),
    }
    return {"args": [sys.executable, "-m", "lookback", "worker"], "env": environment}


@contextmanager
def running(
    model: Path, url: str, snapshots: Path | str = "off"
) -> Iterator["subprocess.Popen[bytes]"]:
    """A worker whose card is on the broker."""
    process = subprocess.Popen(**command(model, url, snapshots), preexec_fn=dies_with(os.getpid()))
    try:
        with connect(url) as client:
            eventually(lambda: process.poll() or list(client.scan_iter(keys.WORKERS)), "card")
        assert process.poll() is None
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
