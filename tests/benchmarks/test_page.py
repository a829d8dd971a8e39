"""The page's benchmark works for a moment, and the limits that it reports are kept."""

import os
import shutil

import pytest

from benchmarks import BENCHMARKS, page
from benchmarks.errors import OptionError


@pytest.mark.skipif(
    not shutil.which("chromium") and not os.environ.get("CI"), reason="Chromium is not installed"
)
def test_reports_a_limited_camera_beside_one_that_is_not() -> None:
    figures = BENCHMARKS["page"](seconds=1.5, rounds=1, warm_up=0.5)
    points = {(point["source"], point["limited"]): point for point in figures["points"]}
    assert len(points) == 4
    for source in ("camera", "drawn"):
        plain, limited = points[source, False], points[source, True]
        assert (plain["picture"], limited["picture"]) == ("640×480", "320×240")
        assert limited["fps"] < 7 < plain["fps"]
        assert 0 < limited["bytes"] < plain["bytes"]
        assert limited["browser_cpu"] > 0 < plain["gateway_cpu"]
        assert (limited["frame_age_p50"] is None) == (source == "camera")


def test_a_length_that_cannot_be_is_refused() -> None:
    with pytest.raises(OptionError, match="--seconds of page"):
        page.run(seconds=0)
