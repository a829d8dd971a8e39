"""What the clients of a load are answered, counted."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

MOST: Final = 65_536
"""Times of each kind that are kept, the newest; a soak has more than it needs."""


@dataclass
class Refusals:
    """One code's: how often it was said, with `Retry-After` and with a place in the queue."""

    status: int
    count: int = 0
    retry_after: int = 0
    place: int = 0


@dataclass
class Tally:
    """Of one step. Times in seconds."""

    answers: int = 0
    hung: int = 0
    questions_refused: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    """Answers and connections that ended otherwise than they should, by what was said."""
    refusals: dict[str, Refusals] = field(default_factory=dict)
    first_tokens: list[float] = field(default_factory=list)
    frame_ages: list[float] = field(default_factory=list)
    entered: int = 0
    """Sessions that were opened."""

    def refused(self, code: str, status: int, retry_after: bool, place: bool) -> None:
        """Somebody was told no."""
        said = self.refusals.setdefault(code, Refusals(status))
        said.count += 1
        said.retry_after += retry_after
        said.place += place

    def note(self, times: list[float], seconds: float) -> None:
        """One more time of a kind."""
        times.append(seconds)
        if len(times) > MOST:
            del times[: MOST // 2]

    def told(self) -> list[dict[str, Any]]:
        """The refusals, a record for each code."""
        return [
            {
                "code": code,
                "status": said.status,
                "times": said.count,
                "with_retry_after": said.retry_after,
                "with_place": said.place,
            }
            for code, said in sorted(self.refusals.items())
        ]


def percentile(seconds: Sequence[float], percent: float) -> float | None:
    """None where nothing was measured."""
    if not seconds:
        return None
    value = float(np.percentile(seconds, percent))
    assert math.isfinite(value)
    return round(value, 4)
