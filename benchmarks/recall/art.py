"""The objects' pictures: a sprite sheet that is shipped, or what a font of colour emoji draws."""

from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from benchmarks.errors import OptionError
from benchmarks.recall.world import NAMES, OBJECTS

Sprite = NDArray[np.float32]
"""An object without a border: `[height, width, RGBA]` in 0..1."""

NOTO: Final = "noto"
SHEET: Final = Path(__file__).parent / "noto.webp"
_COLUMNS: Final = 8
_FONT_PIXELS: Final = (96, 109, 128, 136)  # fonts of bitmaps have one size alone
_NO_CHARACTER: Final = "\uffff"


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


@cache
def drawn(font: Path) -> tuple[Sprite, ...]:
    """Each object of NAMES as a colour font draws it. Raises OptionError for another file."""
    face = _opened(font)
    side = round(face.size)
    pictures = []
    for name, code in OBJECTS.items():
        picture = Image.new("RGBA", (2 * side, 2 * side), (0, 0, 0, 0))
        text = "".join(chr(int(part, 16)) for part in code.split("-"))
        place = (side // 2, side // 2)
        ImageDraw.Draw(picture).text(place, text, font=face, embedded_color=True)
        if picture.getbbox() is None or not _has_glyph(face, text):
            raise OptionError(f"{font} has no picture of a {name}: take a font of colour emoji")
        pictures.append(trimmed(picture))
    return tuple(pictures)


def _opened(font: Path) -> ImageFont.FreeTypeFont:
    for size in _FONT_PIXELS:
        try:
            return ImageFont.truetype(str(font), size)
        except OSError as error:
            failure = error
    raise OptionError(f"{font} is no font that can be read: {failure}") from failure


def _has_glyph(face: ImageFont.FreeTypeFont, text: str) -> bool:
    """Whether it draws something else than for a character that no font has."""
    return bytes(face.getmask(text)) != bytes(face.getmask(_NO_CHARACTER))


def sprites(art: str) -> tuple[Sprite, ...]:
    """Each object of NAMES in a style: "noto", or a font's file."""
    return noto() if art == NOTO else drawn(Path(art))
