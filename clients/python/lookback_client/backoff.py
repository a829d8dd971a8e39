"""When to try again."""

import asyncio
import random
from typing import Final

_FIRST_SECONDS: Final = 0.1
_MOST_SECONDS: Final = 5.0


class Backoff:
    """Waits twice as long each time, and never all clients at the same moment.

    limit: seconds after which `wait` gives up, counted from the beginning or the last `reset`.
    """

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self.reset()

    def reset(self) -> None:
        """It worked."""
        self._seconds = _FIRST_SECONDS
        self._began: float | None = None

    async def wait(self, at_least: float = 0.0) -> bool:
        """False, and no waiting, where that would take longer than is left. at_least: seconds
        that were asked for."""
        now = asyncio.get_running_loop().time()
        if self._began is None:
            self._began = now
        seconds = max(at_least, self._seconds * random.uniform(0.5, 1.0))
        if now - self._began + seconds > self._limit:
            return False
        self._seconds = min(2 * self._seconds, _MOST_SECONDS)
        await asyncio.sleep(seconds)
        return True
