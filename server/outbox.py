"""What one session's conversation has yet to send to the worker, in the right order."""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from messages.questions import Ask, Cancel


class _Waiting(NamedTuple):
    ask: Ask
    frames: int
    until: float  # on the monotonic clock


class Outbox:
    """Questions go in their order, each when the worker has told of the frames that it is about;
    cancellations, which are only of questions that were sent, overtake those that wait.

    wanted: whether the response with this id is still wanted.
    """

    def __init__(self, wanted: Callable[[str], bool]) -> None:
        self._wanted = wanted
        self._asks: deque[_Waiting] = deque()
        self._cancels: deque[Cancel] = deque()
        self._frames = 0
        self._stirred = asyncio.Event()

    def ask(self, ask: Ask, frames: int, patience_seconds: float) -> None:
        """A question for when the worker has told of so many frames, or so long has gone by."""
        self._asks.append(_Waiting(ask, frames, time.monotonic() + patience_seconds))
        self._stirred.set()

    def cancel(self, cancel: Cancel) -> None:
        self._cancels.append(cancel)
        self._stirred.set()

    def told(self, frames: int) -> None:
        """Of so many frames the worker has told, seen or dropped."""
        self._frames = frames
        self._stirred.set()

    async def next(self) -> Ask | Cancel:
        """What is to be sent next, when it is time."""
        while True:
            if self._cancels:
                return self._cancels.popleft()
            while self._asks and not self._wanted(self._asks[0].ask.response):
                self._asks.popleft()
            left = None
            if self._asks:
                first = self._asks[0]
                left = first.until - time.monotonic()
                if self._frames >= first.frames or left <= 0:
                    return self._asks.popleft().ask
            self._stirred.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._stirred.wait()
