"""An outage is told once and borne with growing patience."""

import logging

import pytest

from model_worker.outage import LONGEST_SECONDS, Outage


def test_waits_grow_up_to_a_bound_and_start_again(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    outage = Outage("reading")
    waits = [outage.seconds(OSError("gone")) for _ in range(10)]
    assert waits == sorted(waits)
    assert waits[-1] == LONGEST_SECONDS
    outage.over()
    outage.over()
    assert [record.message for record in caplog.records] == [
        "the broker failed while reading: gone",
        "the broker answers again",
    ]
    assert outage.seconds(OSError("gone")) == waits[0]
