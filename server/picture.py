"""A frame made ready for the model: resized, as a JPEG."""

from dataclasses import dataclass

import cv2
import numpy as np
from av import VideoFrame
from numpy.typing import NDArray

from server.stills import SMALLEST_SIDE, Still

# The pictures are small and the model needs the cores.
cv2.setNumThreads(1)
_THUMBNAIL = (32, 32)


class PictureError(ValueError):
    """A frame that cannot be used; the message says what to change."""


@dataclass(frozen=True)
class Picture:
    """jpeg: the encoded picture; thumbnail: grey [32, 32], for comparisons."""

    jpeg: bytes
    thumbnail: NDArray[np.uint8]


def fitted(
    width: int, height: int, frame_size: tuple[int, int] | None, max_pixels: int
) -> tuple[int, int]:
    """The (width, height) that the model wants: its own where it is fixed; otherwise the frame's
    shape, made smaller until it has at most max_pixels."""
    if frame_size is not None:
        return frame_size
    scale = min(1.0, (max_pixels / (width * height)) ** 0.5)
    return max(1, int(width * scale)), max(1, int(height * scale))


def encode(
    frame: VideoFrame | Still, frame_size: tuple[int, int] | None, max_pixels: int, quality: int
) -> Picture:
    """The frame as the worker wants it. Takes milliseconds: call it off the event loop.

    Raises PictureError for a frame that is too small to show anything, or damaged.
    """
    if min(frame.width, frame.height) < SMALLEST_SIDE:
        raise PictureError(
            f"A frame of {frame.width}×{frame.height} pixels shows nothing: "
            f"send at least {SMALLEST_SIDE} pixels a side."
        )
    wanted = max_pixels if frame_size is None else frame_size[0] * frame_size[1]
    pixels = _decoded(frame, wanted)
    height, width = pixels.shape[:2]
    size = fitted(width, height, frame_size, max_pixels)
    if size != (width, height):
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    done, jpeg = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise PictureError(f"A frame of {size[0]}×{size[1]} pixels cannot be written as JPEG.")
    grey = cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY)
    thumbnail = cv2.resize(grey, _THUMBNAIL, interpolation=cv2.INTER_AREA)
    return Picture(jpeg.tobytes(), thumbnail.astype(np.uint8))


def _decoded(frame: VideoFrame | Still, wanted: int) -> NDArray[np.uint8]:
    """BGR [rows, columns, 3], of which so many pixels are wanted."""
    if isinstance(frame, VideoFrame):
        return np.asarray(frame.to_ndarray(format="bgr24"), np.uint8)
    try:
        # Twice the size a side, so that making it smaller does not show where it was done.
        return frame.pixels(4 * wanted)
    except ValueError as error:
        raise PictureError(str(error)) from error
