"""How much of a stream's tokens a memory may hold."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from benchmarks.errors import OptionError

FULL: Final = "full"
BUDGETS: Final = (FULL, "1/2", "1/4", "1/8", "1/16", "1/32")

_BLOCK_SHARE: Final = 4  # of the memory is the ingest block's, as at the engine's own default
_MOST_BLOCK_UNITS: Final = 8  # the engine's own


@dataclass(frozen=True)
class Room:
    """A memory's sizes: `budget_tokens` after a compression pass, and `cap_tokens`, with the ingest
    block of `block_units`, which it never exceeds."""

    cap_tokens: int
    budget_tokens: int
    block_units: int


def parse(budget: str) -> Fraction:
    """The share that a budget's name says. Raises OptionError."""
    try:
        share = Fraction(1) if budget == FULL else Fraction(budget)
        if not 0 < share <= 1:
            raise ValueError
    except (ValueError, ZeroDivisionError):
        raise OptionError(
            f"a budget must be full or a share of the stream's tokens as 1/8, not {budget!r}"
        ) from None
    return share


def room(budget: str, frames: int, tokens_per_unit: int, frames_per_unit: int = 1) -> Room | None:
    """The sizes for a stream of `frames`; None where not even one unit and its block have room.

    What counts is the cap: everything that an answer can see, the ingest block among it. The block
    is a quarter of it, one unit at least and eight at most. A full memory holds the whole stream
    and is never compressed.
    """
    units = -(-frames // frames_per_unit)
    if budget == FULL:
        return Room((units + 1) * tokens_per_unit, units * tokens_per_unit, 1)
    cap = int(units * tokens_per_unit * parse(budget))
    blocks = cap // tokens_per_unit // _BLOCK_SHARE
    blocks = max(1, min(_MOST_BLOCK_UNITS, blocks))
    left = cap - blocks * tokens_per_unit
    return Room(cap, left, blocks) if left >= tokens_per_unit else None
