"""VP8 of a moving picture in which each frame carries its number, so that it is known again.

Knows nothing about who sends or receives it.
"""

from fractions import Fraction
from typing import Any, Final

import av
import cv2
import numpy as np
from numpy.typing import NDArray

WIDTH: Final = 640
HEIGHT: Final = 480
MOST: Final = 256
"""Frames whose numbers can be told apart."""

_BITS: Final = 8
_BLOCKS: Final = (1, 0)  # before the bits: what is read where there is no bar code is no number
_BAND: Final = HEIGHT // 6
_BITS_PER_SECOND: Final = 1_000_000  # at 30 frames a second
_SEED: Final = 11


def clip(fps: float, frames: int) -> list[bytes]:
    """So many VP8 frames (at most MOST) of 640×480, of which the first is a keyframe: a textured
    picture that drifts, at about 1 Mbit/s where fps is 30."""
    assert frames <= MOST, "a number has eight bits"
    codec: Any = av.CodecContext.create("libvpx", "w")
    codec.width, codec.height, codec.pix_fmt = WIDTH, HEIGHT, "yuv420p"
    codec.time_base = Fraction(1, 90000)
    codec.bit_rate = int(_BITS_PER_SECOND * (fps / 30) ** 0.5)
    codec.gop_size = frames
    codec.options = {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0"}
    blocks = np.random.default_rng(_SEED).integers(30, 226, (30, 40, 3), np.uint8)
    picture = cv2.resize(blocks, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    encoded: list[bytes] = []
    for number in range(frames):
        pixels = np.roll(picture, (number, 2 * number), (0, 1)).copy()
        for place, bit in enumerate(_marks(number)):
            left, right = _edges(place, WIDTH)
            pixels[:_BAND, left:right] = 255 * bit
        frame = av.VideoFrame.from_ndarray(pixels, "rgb24").reformat(format="yuv420p")
        frame.pts, frame.time_base = round(number * 90000 / fps), Fraction(1, 90000)
        encoded += [bytes(packet) for packet in codec.encode(frame)]
    assert len(encoded) == frames, "the encoder held frames back"
    return encoded


def number_in(jpeg: bytes) -> int | None:
    """The number of the frame that became this JPEG of any size, or None where it shows none."""
    pixels = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_GRAYSCALE)
    if pixels is None:
        return None
    height, width = pixels.shape
    row: NDArray[Any] = pixels[height // 24 : height // 8].mean(0)
    marks = []
    for place in range(len(_BLOCKS) + _BITS):
        left, right = _edges(place, width)
        margin = (right - left) // 4
        marks.append(int(row[left + margin : right - margin].mean() > 127))
    if tuple(marks[: len(_BLOCKS)]) != _BLOCKS:
        return None
    return int("".join(map(str, marks[len(_BLOCKS) :])), 2)


def _marks(number: int) -> list[int]:
    return [*_BLOCKS, *(number >> shift & 1 for shift in reversed(range(_BITS)))]


def _edges(place: int, width: int) -> tuple[int, int]:
    count = len(_BLOCKS) + _BITS
    return place * width // count, (place + 1) * width // count
