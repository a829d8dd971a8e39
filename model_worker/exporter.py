"""Sends sessions' snapshots to whoever asked for them, each on a thread of its own."""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from redis import Redis
from redis.exceptions import RedisError

from messages import keys
from messages.codec import encode
from messages.files import FILE_TTL_SECONDS, PIECE_BYTES, PIECES_AHEAD, STALLED_SECONDS, Piece
from model_worker.memory.container import SnapshotError

log = logging.getLogger(__name__)

MOST_AT_ONCE: Final = 4
_LOOK_SECONDS: Final = 0.01


class Exporter:
    """At most MOST_AT_ONCE on their way: each is a copy of a session's memory."""

    def __init__(self, client: "Redis", stalled_seconds: float = STALLED_SECONDS) -> None:
        self._client = client
        self._stalled_seconds = stalled_seconds
        self._room = threading.Semaphore(MOST_AT_ONCE)

    def give(self, channel: str, make: Callable[[], Iterable[bytes]]) -> None:
        """Send what `make` makes, at once and in this thread, for any thread to iterate over.
        What goes wrong is told to the receiver alone."""
        if not self._room.acquire(blocking=False):
            problem = f"{MOST_AT_ONCE} sessions of this worker are being exported already"
            self._start(self._tell, channel, problem)
            return
        try:
            snapshot = make()
        except Exception as error:  # out of memory, most of all: the session goes on
            self._room.release()
            if not isinstance(error, SnapshotError):
                log.exception("a session cannot be exported")
            self._start(self._tell, channel, str(error) or type(error).__name__)
            return
        self._start(self._send, channel, snapshot)

    def _start(self, work: Callable[..., None], *given: object) -> None:
        threading.Thread(target=work, args=given, name="export", daemon=True).start()

    def _tell(self, channel: str, problem: str) -> None:
        try:
            self._push(channel, Piece(problem=problem, last=True))
        except RedisError as error:
            log.warning("nobody was told that an export failed: %s", error)

    def _send(self, channel: str, snapshot: Iterable[bytes]) -> None:
        try:
            for data in pieces(snapshot, PIECE_BYTES):
                if not self._wait(channel):
                    log.info("an export was given up: nobody takes it any more")
                    self._client.delete(keys.file(channel))
                    return
                self._push(channel, Piece(data))
            self._push(channel, Piece(last=True))
        except RedisError as error:
            log.warning("an export was given up: %s", error)
        except Exception as error:
            log.exception("an export failed")
            self._tell(channel, str(error))
        finally:
            self._room.release()

    def _wait(self, channel: str) -> bool:
        """Until there is room for one more piece; false where nobody takes any."""
        until = time.monotonic() + self._stalled_seconds
        while self._client.llen(keys.file(channel)) >= PIECES_AHEAD:
            if time.monotonic() > until:
                return False
            time.sleep(_LOOK_SECONDS)
        return True

    def _push(self, channel: str, piece: Piece) -> None:
        pipe = self._client.pipeline(transaction=False)
        pipe.rpush(keys.file(channel), encode(piece))
        pipe.expire(keys.file(channel), FILE_TTL_SECONDS)
        pipe.execute()


def pieces(parts: Iterable[bytes], size: int) -> Iterator[bytes]:
    """The same bytes in pieces of `size`, the last one shorter."""
    waiting = bytearray()
    for part in parts:
        for start in range(0, len(part), size):
            waiting += part[start : start + size]
            if len(waiting) >= size:
                yield bytes(waiting[:size])
                del waiting[:size]
    if waiting:
        yield bytes(waiting)
