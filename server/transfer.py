"""A session's snapshot between this gateway and a worker, a few pieces at a time."""

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncGenerator
from typing import IO, Any, Final

from redis.exceptions import RedisError

from messages import keys
from messages.codec import MalformedMessage, decode_piece, encode
from messages.files import FILE_TTL_SECONDS, PIECE_BYTES, PIECES_AHEAD, STALLED_SECONDS, Piece
from server.errors import RETRY_SECONDS, ServiceError, broker_unavailable
from server.tasks import stop

log = logging.getLogger(__name__)

_LOOK_SECONDS: Final = 0.02
_BLOCK_SECONDS: Final = 1


class Download:
    """A file that a worker sends to `channel`. first_seconds: how long its beginning may take."""

    def __init__(self, broker: Any, first_seconds: float) -> None:
        self._broker = broker
        self._first_seconds = first_seconds
        self.channel = secrets.token_urlsafe(16)

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """Raises ServiceError."""
        patience = self._first_seconds
        try:
            while True:
                piece = await self._next(patience)
                patience = STALLED_SECONDS
                if piece.problem:
                    raise _not_had(piece.problem)
                if piece.data:
                    yield piece.data
                if piece.last:
                    return
        finally:
            await drop(self._broker, self.channel)

    async def _next(self, seconds: float) -> Piece:
        until = time.monotonic() + seconds
        try:
            while time.monotonic() < until:
                found = await self._broker.blpop([keys.file(self.channel)], timeout=_BLOCK_SECONDS)
                if found is not None:
                    return decode_piece(found[1])
        except RedisError as error:
            raise broker_unavailable(error) from error
        except MalformedMessage as error:
            raise _not_had(str(error)) from error
        raise _not_had("the model worker is silent")


class Upload:
    """A file for a worker that opens a session with it, by `channel`; for `async with`, in which it
    is sent as fast as it is taken."""

    def __init__(self, broker: Any, file: IO[bytes], channel: str) -> None:
        self._broker = broker
        self._file = file
        self.channel = channel
        self.moved_at = time.monotonic()
        """When the last piece was sent."""
        self._sending: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Upload":
        await self.begin()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._sending is not None:
            await stop(self._sending)
        await drop(self._broker, self.channel)

    async def begin(self) -> None:
        """From its first byte, also where a worker has had some of it. Raises RedisError."""
        if self._sending is not None:
            await stop(self._sending)
        await self._broker.delete(keys.file(self.channel))
        self._file.seek(0)
        self._sending = asyncio.create_task(self._send())

    async def _send(self) -> None:
        key = keys.file(self.channel)
        try:
            while True:
                data = self._file.read(PIECE_BYTES)
                await self._room(key)
                async with self._broker.pipeline(transaction=False) as pipe:
                    pipe.rpush(key, encode(Piece(data, last=not data)))
                    pipe.expire(key, FILE_TTL_SECONDS)
                    await pipe.execute()
                self.moved_at = time.monotonic()
                if not data:
                    return
        except RedisError as error:  # whoever waits for the session is told that nobody opens it
            log.warning("a snapshot was not sent to a worker: %s", error)

    async def _room(self, key: str) -> None:
        """Until one more piece may wait on the broker."""
        while True:
            if await self._broker.llen(key) < PIECES_AHEAD:
                return
            await asyncio.sleep(_LOOK_SECONDS)


async def drop(broker: Any, channel: str) -> None:
    """What is left of a file that nobody wants any more."""
    try:
        await broker.delete(keys.file(channel))
    except RedisError as error:
        log.warning("what is left of a snapshot stays for a minute: %s", error)


def _not_had(problem: str) -> ServiceError:
    return ServiceError(
        "export_failed",
        f"The session's memory cannot be had now ({problem}): try again.",
        status=503,
        retry_after=RETRY_SECONDS,
    )
