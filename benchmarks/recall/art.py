"""The objects' pictures: a sprite sheet that is shipped, or another style that is fetched."""

from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.recall.world import NAMES

Sprite = NDArray[np.float32]
"""An object without a border: `[height, width, RGBA]` in 0..1."""

SHEET: Final = Path(__file__).parent / "noto.webp"
_COLUMNS: Final = 8


@cache
def noto() -> tuple[Sprite, ...]:
    """Each object of NAMES as Noto Emoji draws it."""
    with Image.open(SHEET) as picture:
        sheet = picture.convert("RGBA")
    cell = sheet.width // _COLUMNS
    boxes = ((i % _COLUMNS * cell, i // _COLUMNS * cell) for i in range(len(NAMES)))
    return tuple(trimmed(sheet.crop((x, y, x + cell, y + cell))) for x, y in boxes)


def trimmed(picture: Image.Image) -> Sprite:
    """Without its empty border."""
    box = picture.getchannel("A").point(lambda alpha: 255 * (alpha > 8)).getbbox()
    assert box is not None, "an empty picture"
    return np.asarray(picture.crop(box), dtype=np.float32) / 255.0


def sprites(art: str) -> tuple[Sprite, ...]:
    """Each object of NAMES in that style."""
    return noto()
