"""A frame's JPEG becomes pixels, or a reason why it cannot."""

import io
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

MIN_SIDE: Final = 16
MAX_PIXELS: Final = 16_000_000


class PictureError(ValueError):
    """Bytes that are no usable picture; the message says what to change."""


def decode(jpeg: bytes, size: tuple[int, int] | None, max_pixels: int) -> NDArray[np.uint8]:
    """RGB `[height, width, 3]`, uint8.

    size: (width, height) in pixels that the picture is brought to; None keeps its shape and
    only brings it within max_pixels. Raises PictureError for bytes that are no JPEG, for a side
    below MIN_SIDE pixels and, before anything is decoded, for more than MAX_PIXELS pixels.
    """
    width, height = _measured(jpeg)
    if min(width, height) < MIN_SIDE:
        raise PictureError(
            f"The frame is {width}x{height} pixels; send at least {MIN_SIDE} on each side."
        )
    if width * height > MAX_PIXELS:
        raise PictureError(
            f"The frame is {width}x{height} pixels; send at most {MAX_PIXELS / 1e6:.0f} megapixels."
        )
    decoded = cv2.imdecode(np.frombuffer(jpeg, dtype=np.uint8), cv2.IMREAD_COLOR)
    if decoded is None:
        raise PictureError("The frame's JPEG is damaged; send it again or send the next one.")
    pixels = np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), dtype=np.uint8)
    return fitted(pixels, size, max_pixels)


def fitted(
    pixels: NDArray[np.uint8], size: tuple[int, int] | None, max_pixels: int
) -> NDArray[np.uint8]:
    """`[height, width, 3]` brought to size (width, height), or within max_pixels where None."""
    height, width = pixels.shape[:2]
    wanted = size or _within(width, height, max_pixels)
    if (width, height) == wanted:
        return pixels
    return np.asarray(cv2.resize(pixels, wanted, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _measured(jpeg: bytes) -> tuple[int, int]:
    """(width, height) from the header alone: a small file can claim a picture of gigabytes."""
    try:
        with Image.open(io.BytesIO(jpeg), formats=["JPEG"]) as picture:
            return picture.size
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError) as error:
        raise PictureError("The frame is no JPEG picture.") from error


def _within(width: int, height: int, max_pixels: int) -> tuple[int, int]:
    scale = min(1.0, (max_pixels / (width * height)) ** 0.5)
    return max(MIN_SIDE, int(width * scale)), max(MIN_SIDE, int(height * scale))
