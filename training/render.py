"""Draws frames of the small world: an emoji on a coloured ground, seen by a bad camera.

Knows nothing about questions or models. Needs the Debian package fonts-noto-color-emoji.
"""

import os
from collections.abc import Iterator
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from training.world import COLOUR_NAMES, COLOURS, OBJECT_NAMES, OBJECTS, PLACE_NAMES, PLACES

Picture = NDArray[np.uint8]

FONT = Path(os.environ.get("NOTO_EMOJI", "/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf"))


@cache
def sprite(obj: int) -> NDArray[np.float32]:
    """The object's picture, cropped: [height, width, RGBA] in 0..1."""
    if not FONT.exists():
        raise FileNotFoundError(
            f"{FONT} is missing: apt-get install fonts-noto-color-emoji, or set NOTO_EMOJI"
        )
    font = ImageFont.truetype(str(FONT), 109)
    picture = Image.new("RGBA", (160, 160), (0, 0, 0, 0))
    text = OBJECTS[OBJECT_NAMES[obj]]
    ImageDraw.Draw(picture).text((10, 10), text, font=font, embedded_color=True)
    box = picture.getbbox()
    assert box is not None
    return np.asarray(picture.crop(box), dtype=np.float32) / 255.0


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


def paste(
    ground: NDArray[np.float32],
    obj: int,
    centre: tuple[float, float],
    size: float,
    angle: float = 0.0,
    aspect: float = 1.0,
) -> None:
    """Draw `obj` on `ground` in place: `centre` in pixels (x, y), `size` the longer side."""
    art = sprite(obj)
    height, width = art.shape[:2]
    scale = size / max(height, width)
    w, h = max(4, round(width * scale * aspect)), max(4, round(height * scale))
    small = cv2.resize(art, (w, h), interpolation=cv2.INTER_AREA)
    pad = max(w, h) // 4
    small = cv2.copyMakeBorder(small, pad, pad, pad, pad, cv2.BORDER_CONSTANT, value=0)
    if angle:
        turn = cv2.getRotationMatrix2D((small.shape[1] / 2, small.shape[0] / 2), angle, 1.0)
        small = cv2.warpAffine(small, turn, (small.shape[1], small.shape[0]))
    x0, y0 = round(centre[0] - small.shape[1] / 2), round(centre[1] - small.shape[0] / 2)
    x1, y1 = max(0, x0), max(0, y0)
    x2 = min(ground.shape[1], x0 + small.shape[1])
    y2 = min(ground.shape[0], y0 + small.shape[0])
    cut = small[y1 - y0 : y2 - y0, x1 - x0 : x2 - x0]
    alpha = cut[..., 3:4]
    view = ground[y1:y2, x1:x2]
    view[...] = view * (1 - alpha) + cut[..., :3] * 255.0 * alpha


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


def still(obj: int | None, place: int, colour: int, side: int, rng: np.random.Generator) -> Picture:
    """One frame [side, side, RGB]; `obj` None is an empty scene."""
    ground = background(colour, side, rng)
    if obj is not None:
        fx, fy = PLACES[PLACE_NAMES[place]]
        jitter = rng.uniform(-0.05, 0.05, 2)
        centre = ((fx + jitter[0]) * side, (fy + jitter[1]) * side)
        size = rng.uniform(0.31, 0.46) * side
        paste(ground, obj, centre, size, rng.uniform(-12, 12), rng.uniform(0.85, 1.1))
    return degrade(ground, rng)


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
