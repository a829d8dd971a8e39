"""How fast a session answers, and so when it is worth asking again."""

import time
from typing import Final

_SHARE: Final = 0.25
_LEAST_SECONDS: Final = 2.0
_MOST_SECONDS: Final = 30.0


class Pace:
    """Of answers that are written one after another; a mean that forgets the oldest. `now`s are
    monotonic seconds."""

    def __init__(self) -> None:
        self._seconds: float | None = None
        self._ended_at = float("-inf")

    def ended(self, asked_at: float, now: float | None = None) -> None:
        """An answer was written. It had the model to itself since the one before it ended, or
        since it was asked for."""
        now = time.monotonic() if now is None else now
        took = max(0.0, now - max(asked_at, self._ended_at))
        self._ended_at = now
        before = took if self._seconds is None else self._seconds
        self._seconds = before + _SHARE * (took - before)

    def retry_seconds(self, waiting: int) -> float:
        """When so many that wait will have been answered: whoever asks again sooner is most likely
        refused again, which costs both sides more than it gives."""
        return min(max(_LEAST_SECONDS, (self._seconds or 0.0) * waiting), _MOST_SECONDS)
