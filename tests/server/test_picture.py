"""Frames of every size and pixel format become what the model wants, or an error in words."""

import tracemalloc

import cv2
import numpy as np
import pytest
from av import VideoFrame

from server.picture import PictureError, encode, fitted


def _decoded(jpeg: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR_RGB)


def _frame(width: int, height: int, colour: tuple[int, int, int]) -> VideoFrame:
    pixels = np.full((height, width, 3), colour, np.uint8)
    return VideoFrame.from_ndarray(pixels, "rgb24")


@pytest.mark.parametrize("layout", ["rgb24", "yuv420p", "yuvj420p", "nv12"])
@pytest.mark.parametrize("size", [(640, 480), (480, 640), (96, 96), (33, 17), (1920, 1080)])
def test_the_picture_has_the_models_size_and_the_frames_colour(
    layout: str, size: tuple[int, int]
) -> None:
    frame = _frame(*size, (200, 60, 30)).reformat(format=layout)
    picture = encode(frame, (96, 96), 1, 90)
    pixels = _decoded(picture.jpeg)
    assert pixels.shape == (96, 96, 3)
    assert np.abs(pixels.reshape(-1, 3).mean(0) - (200, 60, 30)).max() < 6
    assert picture.thumbnail.shape == (32, 32) and picture.thumbnail.dtype == np.uint8


def test_left_stays_left_and_top_stays_top() -> None:
    pixels = np.zeros((120, 160, 3), np.uint8)
    pixels[:60, 80:] = 255
    jpeg = encode(VideoFrame.from_ndarray(pixels, "rgb24"), (96, 96), 1, 90).jpeg
    got = _decoded(jpeg)
    assert got[:40, 56:].min() > 200 and got[56:].max() < 60 and got[:, :40].max() < 60


@pytest.mark.parametrize(
    ("size", "expected"),
    [((640, 480), (326, 244)), ((100, 50), (100, 50)), ((8000, 20), (5656, 14))],
)
def test_a_free_size_keeps_the_shape_within_the_limit(
    size: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert fitted(*size, None, 80_000) == expected


@pytest.mark.parametrize("size", [(1, 1), (15, 400), (400, 2)])
def test_a_frame_too_small_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(PictureError, match="at least 16 pixels"):
        encode(_frame(*size, (0, 0, 0)), (96, 96), 1, 90)


def _textured(width: int, height: int) -> VideoFrame:
    small = np.random.default_rng(0).integers(0, 256, (9, 12, 3), np.uint8)
    pixels = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
    return VideoFrame.from_ndarray(np.asarray(pixels), "rgb24")


@pytest.mark.parametrize("layout", ["yuv420p", "yuvj420p"])
@pytest.mark.parametrize("size", [(640, 480), (481, 641), (1280, 720), (1920, 1080), (3840, 2160)])
def test_a_large_picture_is_as_it_would_be_with_all_its_colours(
    layout: str, size: tuple[int, int]
) -> None:
    frame = _textured(*size).reformat(format=layout)
    pixels = frame.to_ndarray(format="rgb24")
    expected = cv2.resize(pixels, (96, 96), interpolation=cv2.INTER_AREA).astype(int)
    got = _decoded(encode(frame, (96, 96), 1, 100).jpeg)
    assert np.abs(got - expected).mean() < 2.5
    assert np.abs(got.mean((0, 1)) - expected.mean((0, 1))).max() < 2


def test_a_4k_picture_takes_little_room() -> None:
    frame = _textured(3840, 2160).reformat(format="yuv420p")
    encode(frame, (384, 384), 1, 90)
    tracemalloc.start()
    try:
        encode(frame, (384, 384), 1, 90)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert 384 * 384 < peak < 8e6  # as BGR it would be 25 MB
