"""JPEG bytes become pixels, or a reason in words."""

import cv2
import numpy as np
import pytest

from model_worker.picture import PictureError, decode, fitted


def jpeg(width: int, height: int, colour: tuple[int, int, int] = (200, 100, 50)) -> bytes:
    """A plain picture; the colour is RGB."""
    pixels = np.full((height, width, 3), colour[::-1], dtype=np.uint8)
    return bytes(cv2.imencode(".jpg", pixels)[1])


def test_pixels_are_rgb_rows_first_at_the_size_that_is_asked_for() -> None:
    pixels = decode(jpeg(64, 48), (96, 32), 10_000)
    assert pixels.shape == (32, 96, 3)
    assert pixels.dtype == np.uint8
    assert np.abs(pixels.astype(int) - (200, 100, 50)).max() < 8


def test_without_a_size_the_shape_stays_within_the_pixels() -> None:
    assert decode(jpeg(64, 48), None, 10_000).shape == (48, 64, 3)
    height, width, _ = decode(jpeg(640, 480), None, 10_000).shape
    assert 9_000 < height * width <= 10_000
    assert abs(width / height - 4 / 3) < 0.05


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "no JPEG"),
        (b"junk" * 100, "no JPEG"),
        (b"\x89PNG\r\n\x1a\n" + b"0" * 100, "no JPEG"),
        (jpeg(1, 1), "1x1 pixels; send at least 16"),
        (jpeg(300, 15), "at least 16"),
        (jpeg(7680, 4320), "at most 16 megapixels"),
        (jpeg(64, 64)[:300], "JPEG"),
    ],
)
def test_unusable_bytes_are_named(data: bytes, words: str) -> None:
    with pytest.raises(PictureError, match=words):
        decode(data, None, 10_000)


def test_a_picture_of_the_right_size_is_left_alone() -> None:
    pixels = np.zeros((32, 96, 3), dtype=np.uint8)
    assert fitted(pixels, (96, 32), 1) is pixels
