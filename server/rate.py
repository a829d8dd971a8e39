"""How often something may happen."""

import time


class Rate:
    """A token bucket: `burst` at once, and `per_second` in the long run."""

    def __init__(self, per_second: float, burst: float) -> None:
        self._per_second = per_second
        self._burst = self._left = burst
        self._at = time.monotonic()

    def allows(self, count: int = 1) -> bool:
        """Whether it may happen so many times more, now; then it counts as done."""
        self._refill()
        if self._left < count:
            return False
        self._left -= count
        return True

    def wait_seconds(self) -> float:
        """How long until it may happen once more; 0: now."""
        self._refill()
        return max(0.0, (1 - self._left) / self._per_second)

    def _refill(self) -> None:
        now = time.monotonic()
        self._left = min(self._burst, self._left + (now - self._at) * self._per_second)
        self._at = now
