"""The pictures that scenes are made of: objects in two styles, photographs, lettering.

Needs what `training.material` fetches; LOOKBACK_MATERIAL names its folder where it is
not runs/material.
"""

import os
from functools import cache
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from training.material import CREDITS, HELD_OUT_PHOTOS
from training.render import Picture
from training.world import OBJECT_NAMES, OBJECTS

FONT = Path(os.environ.get("NOTO_EMOJI", "/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf"))
MATERIAL = Path(os.environ.get("LOOKBACK_MATERIAL", "runs/material"))
STYLES: Final = ("noto", "twemoji")
_LETTERS: Final = Path("/usr/share/fonts/truetype/dejavu")
FONTS: Final = (
    "DejaVuSans-Bold.ttf", "DejaVuSansMono-Bold.ttf", "DejaVuSerif-Bold.ttf",
    "DejaVuSansCondensed-Bold.ttf",
)  # fmt: skip

Sprite = NDArray[np.float32]
"""[height, width, RGBA] in 0..1, without an empty border."""


def _fetched(path: Path) -> Path:
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing: python -m training.material --out {MATERIAL}")
    return path


@cache
def sprite(obj: int, style: int) -> Sprite:
    """An object (index) in a style (index into STYLES)."""
    text = OBJECTS[OBJECT_NAMES[obj]]
    if STYLES[style] == "twemoji":
        name = "-".join(f"{ord(c):04x}" for c in text) + ".png"
        picture = Image.open(_fetched(MATERIAL / "twemoji" / name)).convert("RGBA")
    else:
        if not FONT.exists():
            raise FileNotFoundError(
                f"{FONT} is missing: apt-get install fonts-noto-color-emoji, or set NOTO_EMOJI"
            )
        font = ImageFont.truetype(str(FONT), 109)
        picture = Image.new("RGBA", (160, 160), (0, 0, 0, 0))
        ImageDraw.Draw(picture).text((10, 10), text, font=font, embedded_color=True)
    box = picture.getchannel("A").getbbox()
    assert box is not None
    return np.asarray(picture.crop(box), dtype=np.float32) / 255.0


@cache
def photographs(held_out: bool) -> tuple[Path, ...]:
    """Those to learn from, or those for evaluation alone."""
    known = len(CREDITS) - HELD_OUT_PHOTOS
    named = CREDITS[known:] if held_out else CREDITS[:known]
    files = [_fetched(MATERIAL / "photos" / name) for name, *_ in named]
    if not held_out:
        files += sorted(_fetched(MATERIAL / "landscapes").iterdir())
    return tuple(files)


@cache
def _photo(path: Path) -> Picture:
    """A photograph, its longer side at most 1,200 pixels: [height, width, RGB]."""
    picture = Image.open(path).convert("RGB")
    picture.thumbnail((1200, 1200))
    return np.asarray(picture)


def _part(side: int, rng: np.random.Generator, held_out: bool) -> NDArray[np.float32]:
    """A random square of a photograph, shrunk to `side`, turned or mirrored at random."""
    files = photographs(held_out)
    whole = _photo(files[int(rng.integers(len(files)))])
    height, width = whole.shape[:2]
    size = int(rng.uniform(0.25, 0.95) * min(height, width))
    y, x = int(rng.integers(height - size + 1)), int(rng.integers(width - size + 1))
    part = np.ascontiguousarray(whole[y : y + size, x : x + size])
    shrunk = cv2.resize(part, (side, side), interpolation=cv2.INTER_AREA)
    small: NDArray[np.float32] = shrunk.astype(np.float32)
    if rng.random() < 0.5:
        small = small[:, ::-1]
    return np.rot90(small, int(rng.integers(4))) if rng.random() < 0.3 else small


def photo_ground(side: int, rng: np.random.Generator, held_out: bool) -> NDArray[np.float32]:
    """A random part of a photograph: [side, side, RGB] in 0..255. Those to learn from also change
    in tint, contrast and colourfulness, swap their colours and are laid over and beside one
    another, since most are landscapes; those for evaluation stay as they are."""
    part = _part(side, rng, held_out)
    if held_out:
        return part.copy()
    if rng.random() < 0.2:
        part = part + rng.uniform(0.2, 0.5) * (_part(side, rng, held_out) - part)
    if rng.random() < 0.4:
        part = part.copy()
        for _ in range(int(rng.integers(1, 5))):
            cut = _shape(side, rng)
            part[cut] = _coloured(_part(side, rng, held_out), rng)[cut]
    tint = rng.uniform(0.7, 1.25) * rng.uniform(0.8, 1.2, 3)
    return np.ascontiguousarray(_coloured(part, rng) * tint, dtype=np.float32)


def _coloured(part: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """With other colours, half of the time."""
    if rng.random() < 0.5:
        return part
    if rng.random() < 0.5:
        part = part[..., rng.permutation(3)]
    grey = part.mean(-1, keepdims=True)
    level = grey.mean()
    bright = level + rng.uniform(0.7, 1.6) * (grey - level)
    vivid: NDArray[np.float32] = bright + rng.uniform(0.3, 3.5) * (part - grey)
    return np.clip(vivid, 0, 255)


def _shape(side: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """A random stripe or ellipse, turned: [side, side]."""
    angle, (x0, y0) = rng.uniform(0, np.pi), rng.uniform(0, side, 2)
    y, x = np.mgrid[:side, :side].astype(np.float32)
    along = (x - x0) * np.cos(angle) + (y - y0) * np.sin(angle)
    across = (y - y0) * np.cos(angle) - (x - x0) * np.sin(angle)
    long, wide = rng.uniform(0.1, 0.8) * side, rng.uniform(0.05, 0.3) * side
    if rng.random() < 0.5:
        return np.asarray((np.abs(along) < long) & (np.abs(across) < wide))
    return np.asarray((along / long) ** 2 + (across / wide) ** 2 < 1)


@cache
def _font(number: int, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(_LETTERS / FONTS[number]), size)


@cache
def lettering(text: str, font: int, dark: bool, plate: bool) -> Sprite:
    """A word or a digit in capitals, outlined or on a plate, 64 pixels high letters."""
    box = _font(font, 64).getbbox(text.upper(), stroke_width=6)
    left, top, right, bottom = (int(edge) for edge in box)
    ink, paper = ((15, 15, 15), (245, 245, 245)) if dark else ((250, 250, 250), (15, 15, 15))
    fill = (*paper, 255) if plate else (0, 0, 0, 0)
    picture = Image.new("RGBA", (right - left + 24, bottom - top + 24), fill)
    ImageDraw.Draw(picture).text(
        (12 - left, 12 - top), text.upper(), font=_font(font, 64), fill=ink,
        stroke_width=6, stroke_fill=paper,
    )  # fmt: skip
    return np.asarray(picture, dtype=np.float32) / 255.0
