"""Grounds, and what a cheap camera and a lossy codec make of a picture.

Knows nothing about objects, questions or models.
"""

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from training.world import COLOUR_NAMES, COLOURS

Picture = NDArray[np.uint8]


def background(colour: int, side: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """A lit, slightly uneven ground: [side, side, RGB] in 0..255."""
    base = np.array(COLOURS[COLOUR_NAMES[colour]], dtype=np.float32)
    base = base + rng.normal(0, 8, 3).astype(np.float32)
    coarse = rng.normal(0, 1, (4, 4, 1)).astype(np.float32)
    light = cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC)[..., None]
    ramp = np.linspace(-1, 1, side, dtype=np.float32)
    gx, gy = rng.normal(0, 0.06, 2)
    gain = 1.0 + gx * ramp[None, :, None] + gy * ramp[:, None, None] + 0.03 * light
    lit: NDArray[np.float32] = base * gain
    return lit


def degrade(picture: NDArray[np.float32], rng: np.random.Generator) -> Picture:
    """A cheap camera: exposure, blur, sensor noise, JPEG."""
    picture = picture * rng.uniform(0.85, 1.12) + rng.uniform(-10, 10)
    if rng.random() < 0.4:
        picture = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.3, 1.0))
    noise = rng.standard_normal(picture.shape, dtype=np.float32)
    out = np.clip(picture + noise * rng.uniform(0, 7), 0, 255).astype(np.uint8)
    quality = int(rng.integers(50, 95))
    ok, data = cv2.imencode(".jpg", out[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert ok
    shot = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert shot is not None
    return np.ascontiguousarray(shot[..., ::-1])


def through_codec(
    frames: list[Picture], codec: str, bit_rate: int, rate: int = 10
) -> Iterator[Picture]:
    """The same frames after a lossy video codec (`libvpx` or `libx264`) at `bit_rate` bits/s."""
    encoder: Any = av.CodecContext.create(codec, "w")
    encoder.width, encoder.height = frames[0].shape[1], frames[0].shape[0]
    encoder.pix_fmt, encoder.bit_rate = "yuv420p", bit_rate
    encoder.time_base, encoder.framerate = Fraction(1, rate), Fraction(rate)
    if codec == "libx264":
        encoder.options = {"preset": "ultrafast", "tune": "zerolatency"}
    else:
        encoder.options = {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0"}
    decoder: Any = av.CodecContext.create({"libvpx": "vp8", "libx264": "h264"}[codec], "r")
    packets = []
    for i, frame in enumerate(frames):
        picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
        picture.pts = i
        packets += encoder.encode(picture)
    for packet in (*packets, *encoder.encode(None), None):
        for out in decoder.decode(packet):
            yield out.to_ndarray(format="rgb24")
