"""How a thread bears a broker that does not answer: it says so once and tries on."""

import logging
from typing import Final

log = logging.getLogger(__name__)

FIRST_SECONDS: Final = 0.1
LONGEST_SECONDS: Final = 2.0


class Outage:
    """`doing` completes the sentence "the broker failed while …"."""

    def __init__(self, doing: str) -> None:
        self._doing = doing
        self._seconds = 0.0

    def seconds(self, error: Exception) -> float:
        """How long to wait before the next try; doubles up to LONGEST_SECONDS."""
        if not self._seconds:
            log.warning("the broker failed while %s: %s", self._doing, error)
        self._seconds = min(LONGEST_SECONDS, 2 * self._seconds or FIRST_SECONDS)
        return self._seconds

    def over(self) -> None:
        if self._seconds:
            log.warning("the broker answers again")
        self._seconds = 0.0
