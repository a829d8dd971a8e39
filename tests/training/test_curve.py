"""Runs that went on from one another, drawn as one."""

from math import isnan

from training.curve import in_a_row, share_of


def test_minutes_of_a_later_log_count_from_the_end_of_the_earlier() -> None:
    rows = in_a_row([[{"minutes": 5.0}, {"minutes": 10.0}], [{"minutes": 2.0}], [{"minutes": 1.0}]])
    assert [row["minutes"] for row in rows] == [5.0, 10.0, 12.0, 13.0]


def test_a_kind_that_did_not_exist_yet_has_no_share() -> None:
    row = {"kinds": {"now": 0.5}}
    assert share_of(row, "kinds", "now") == 50.0
    assert isnan(share_of(row, "kinds", "future"))
