"""A refused asker is told when its turn may come, by how fast answers were written lately."""

import pytest

from server.pace import Pace


def test_before_the_first_answer_it_is_a_moment() -> None:
    assert Pace().retry_seconds(9) == 2.0


def test_it_is_what_those_before_will_take() -> None:
    pace = Pace()
    for number in range(1, 6):  # all were asked at once, and written one after another
        pace.ended(asked_at=0.0, now=1.5 * number)
    assert pace.retry_seconds(9) == pytest.approx(9 * 1.5)


def test_time_in_which_nobody_asked_does_not_count() -> None:
    pace = Pace()
    pace.ended(asked_at=0.0, now=1.0)
    pace.ended(asked_at=100.0, now=101.0)
    assert pace.retry_seconds(5) == pytest.approx(5.0)


def test_it_follows_a_change_and_is_bounded() -> None:
    pace = Pace()
    pace.ended(asked_at=0.0, now=0.1)
    assert pace.retry_seconds(4) == 2.0
    for number in range(20):
        pace.ended(asked_at=0.0, now=0.1 + 10.0 * (number + 1))
    assert pace.retry_seconds(2) == pytest.approx(20.0, rel=0.05)
    assert pace.retry_seconds(1000) == 30.0
