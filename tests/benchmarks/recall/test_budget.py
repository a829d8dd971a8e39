"""A budget is a share of what the stream makes, and the cap is what counts."""

from fractions import Fraction

import pytest

from benchmarks.errors import OptionError
from benchmarks.recall.budget import BUDGETS, FULL, parse, room


def test_the_cap_is_the_share_and_the_block_a_quarter_of_it() -> None:
    for frames in (60, 300, 900, 3600):
        for budget in BUDGETS[1:]:
            made = room(budget, frames, 9)
            share = int(9 * frames * Fraction(budget))
            if made is None:
                assert share < 18
                continue
            block = 9 * made.block_units
            assert made.cap_tokens == share == made.budget_tokens + block
            assert made.budget_tokens >= 9
            assert block <= max(9, share / 4)
            assert 1 <= made.block_units <= 8


@pytest.mark.parametrize(
    ("budget", "cap", "kept", "block"),
    [("1/8", 337, 265, 8), ("1/16", 168, 132, 4), ("1/32", 84, 66, 2)],
)
def test_five_minutes(budget: str, cap: int, kept: int, block: int) -> None:
    made = room(budget, 300, 9)
    assert made is not None
    assert (made.cap_tokens, made.budget_tokens, made.block_units) == (cap, kept, block)


def test_a_full_memory_holds_all_and_a_tiny_one_nothing() -> None:
    full = room(FULL, 301, 10, 2)
    assert full is not None
    assert full.budget_tokens == 151 * 10
    assert room("1/32", 60, 9) is None


@pytest.mark.parametrize("bad", ["0", "2", "-1/2", "1/0", "half", "", "inf"])
def test_what_is_no_share_is_refused(bad: str) -> None:
    with pytest.raises(OptionError, match="a budget must be full or a share"):
        parse(bad)
