"""The gateway's benchmark works with one camera for a moment, and reads what it wrote."""

from typing import Any

import av
import cv2
import pytest

from benchmarks import BENCHMARKS, barcode
from benchmarks.errors import OptionError


def test_every_frame_is_known_by_its_number_at_any_size() -> None:
    frames = barcode.clip(30.0, barcode.MOST)
    decoder: Any = av.CodecContext.create("libvpx", "r")
    for number, data in enumerate(frames):
        [frame] = decoder.decode(av.Packet(data))
        assert (frame.width, frame.height) == (barcode.WIDTH, barcode.HEIGHT)
        pixels = frame.to_ndarray(format="bgr24")
        size = ((96, 96), (384, 384))[number % 2]
        small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
        assert barcode.number_in(cv2.imencode(".jpg", small)[1].tobytes()) == number
    assert 0.3e6 < 8 * sum(map(len, frames)) * 30 / len(frames) < 3e6  # bits a second


def test_what_has_no_bar_code_has_no_number() -> None:
    assert barcode.number_in(b"no JPEG") is None
    grey = cv2.imencode(".jpg", cv2.imread("docs/screenshot.png"))[1].tobytes()
    assert barcode.number_in(grey) is None


def test_too_short_a_measurement_is_refused() -> None:
    with pytest.raises(OptionError, match="seconds"):
        BENCHMARKS["gateway"](seconds=0.0)


def test_reports_a_stream_of_each_rate() -> None:
    told: list[str] = []
    figures = BENCHMARKS["gateway"](
        streams=(1,), fps=(30.0, 5.0), seconds=2.0, rounds=1, warm_up=0.5, progress=told.append
    )
    assert told[2::2] == ["1 × 30 frames a second", "1 × 5 frames a second"]
    assert [(point["streams"], point["fps"]) for point in figures["points"]] == [(1, 30), (1, 5)]
    for point in figures["points"]:
        assert 0 < point["bare_cpu_per_stream"] < 2 and 0 < point["cpu_per_stream"] < 2
        assert point["ratio"] == pytest.approx(
            point["cpu_per_stream"] / point["bare_cpu_per_stream"], rel=0.05
        )
        assert point["frames"] >= 1
        assert 0 < point["frame_age_p50"] <= point["frame_age_p99"] < 5
    assert figures["highest_ratio"] == max(point["ratio"] for point in figures["points"])
