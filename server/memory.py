"""What a session's clients hear of its memory: its state as it changes, and on request every kept
token."""

import asyncio
import base64
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Final

from messages.memory import DescribeMemory, MemoryDescribed
from messages.sessions import MemoryStatus
from server.broadcast import Event
from server.errors import ServiceError, error_event

log = logging.getLogger(__name__)

DESCRIBE_SECONDS: Final = 1.0
"""Between two descriptions, at least: one may have a quarter of a million bytes."""
_LOST_SECONDS: Final = 10.0
"""After so long a description counts as lost, and another may be asked for."""


class Memory:
    """publish: tells the clients. send: reaches the worker, or raises ServiceError."""

    def __init__(
        self,
        session: str,
        publish: Callable[[Event], object],
        send: Callable[[DescribeMemory], Awaitable[object]],
    ) -> None:
        self._session = session
        self._publish = publish
        self._send = send
        self._status: MemoryStatus | None = None
        self._wanted = asyncio.Event()
        self._answered = asyncio.Event()

    @property
    def frames_seen(self) -> int:
        return self._status.frames_seen if self._status else 0

    def update(self, status: MemoryStatus) -> None:
        """The worker tells its state."""
        self._status = status
        event = self.event()
        assert event is not None
        self._publish(event)

    def forget(self) -> None:
        """It begins anew at another worker."""
        self._status = None

    def event(self) -> Event | None:
        """The latest state, where one is known."""
        status = self._status
        if status is None:
            return None
        captured = status.newest_captured_at
        memory = {
            "tokens": status.tokens,
            "peak_tokens": status.peak_tokens,
            "cap_tokens": status.cap_tokens,
            "kv_bytes": status.kv_bytes,
            "frames_seen": status.frames_seen,
            "frames_dropped": status.frames_dropped,
            "compressions": status.compressions,
            "span": status.span,
            "newest_frame_age": None if captured is None else max(0.0, time.time() - captured),
        }
        return {"type": "lookback.memory.updated", "memory": memory}

    def describe(self) -> None:
        """Have the memory described soon; wishes that come together get one description."""
        self._wanted.set()

    def described(self, message: MemoryDescribed) -> None:
        """The worker has described it; however late, everybody hears it."""
        self._answered.set()
        description = {
            "frames": message.frames,
            "patches": message.patches,
            "shares": base64.b64encode(message.shares).decode(),
            "rows": message.rows,
            "columns": message.columns,
            "tokens": message.tokens,
            "budget_tokens": message.budget_tokens,
            "cap_tokens": message.cap_tokens,
            "kv_bytes": message.kv_bytes,
            "bytes_per_token": message.bytes_per_token,
            "span": message.span,
            "next_compression_tokens": message.next_compression_tokens,
            "next_compaction_positions": message.next_compaction_positions,
            "compressions": message.compressions,
            "position_compactions": message.position_compactions,
        }
        self._publish({"type": "lookback.memory.described", "description": description})

    async def run(self) -> None:
        """Asks the worker for what is wanted, until cancelled: one description at a time, and
        one in DESCRIBE_SECONDS."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            self._answered.clear()
            began = time.monotonic()
            try:
                await self._send(DescribeMemory(self._session))
                async with asyncio.timeout(_LOST_SECONDS):
                    await self._answered.wait()
            except ServiceError as error:
                self._publish(error_event(error, None))
            except TimeoutError:
                log.warning("session %s: its memory was not described", self._session[:8])
            await asyncio.sleep(began + DESCRIBE_SECONDS - time.monotonic())
