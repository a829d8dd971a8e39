"""The endless benchmark at its shortest: what it reports, and that it can be broken off."""

import json
import math

import numpy as np
import pytest

from benchmarks import BENCHMARKS
from benchmarks.endless import Marks, resident_bytes
from benchmarks.errors import OptionError
from benchmarks.scenes import KINDS


def test_reports_minute_10_and_the_end() -> None:
    figures = BENCHMARKS["endless"](hours=0.2, questions=16, streams=1, repeats=2)
    json.dumps(figures, allow_nan=False)
    points = figures["points"]
    assert [point["hour"] for point in points] == [0.1667, 0.2]
    assert len({point["kv_bytes"] for point in points}) == 1
    for point in points:
        assert point["rss_bytes"] > point["kv_bytes"] > 0
        assert point["frame_seconds"] > 0
        assert point["ttft_seconds"] > 0
        assert point["accuracy_low"] <= point["recent_accuracy"] <= point["accuracy_high"]
        assert point["questions"] == 32
    assert figures["kv_bytes_ratio"] == 1.0
    assert figures["ratios_to_hour"] == 0.1667
    change = points[-1]["recent_accuracy"] - points[0]["recent_accuracy"]
    assert figures["accuracy_change"] == pytest.approx(change, abs=1e-3)
    low, high = figures["accuracy_change_interval"]
    assert low <= figures["accuracy_change"] <= high
    assert [row["kind"] for row in figures["kinds"]] == list(KINDS)
    assert {row["kind"]: row["minute_10"] for row in figures["kinds"]}["now"] >= 0.5
    assert not figures["interrupted"]


def test_broken_off_it_reports_what_it_has() -> None:
    told: list[str] = []

    def progress(text: str) -> None:
        told.append(text)
        if len(told) == 2:
            raise KeyboardInterrupt

    run = BENCHMARKS["endless"]
    figures = run(hours=2, questions=8, streams=1, repeats=1, progress=progress)
    assert figures["interrupted"]
    assert [point["hour"] for point in figures["points"]] == [0.1667]
    assert figures["hours"] == 0.1667


@pytest.mark.parametrize("hours", [0, -1, 0.1, math.nan, math.inf])
def test_hours_that_cannot_be_are_refused(hours: float) -> None:
    with pytest.raises(OptionError, match=r"at least 0\.1667"):
        BENCHMARKS["endless"](hours=hours)


def test_the_interval_is_wilsons() -> None:
    marks = Marks()
    for number in range(10):
        marks.add("now", number < 8)
    low, high = marks.interval()
    assert marks.accuracy() == 0.8
    assert low == pytest.approx(0.4902, abs=1e-4)
    assert high == pytest.approx(0.9433, abs=1e-4)


def test_resident_bytes_are_those_of_now() -> None:
    before = resident_bytes()
    held = np.ones(200_000_000, dtype=np.uint8)
    assert 150_000_000 < resident_bytes() - before < 250_000_000
    del held
    assert resident_bytes() - before < 100_000_000
