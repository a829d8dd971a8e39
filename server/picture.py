"""A frame made ready for the model: resized, as a JPEG."""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from av import VideoFrame
from av.video.plane import VideoPlane
from av.video.reformatter import ColorRange
from numpy.typing import NDArray

from server.stills import SMALLEST_SIDE, Still

# The pictures are small and the model needs the cores.
cv2.setNumThreads(1)
_THUMBNAIL = (32, 32)
_LIMITED = np.arange(256) - 16.0, np.arange(256) - 128.0
_LUMA = np.clip(np.rint(_LIMITED[0] * 255 / 219), 0, 255).astype(np.uint8)
_CHROMA = np.clip(np.rint(_LIMITED[1] * 255 / 224 + 128), 0, 255).astype(np.uint8)
"""ITU-R BT.601's limited range, which cameras send, as the full one."""
# What FFmpeg calls the matrix of BT.601, or none in particular.
_BT601: Final = (2, 5, 6)


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
    pixels = _decoded(frame, fitted(frame.width, frame.height, frame_size, max_pixels))
    height, width = pixels.shape[:2]
    # Of what was decoded: EXIF data may have turned it.
    size = fitted(width, height, frame_size, max_pixels)
    if size != (width, height):
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    done, jpeg = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise PictureError(f"A frame of {size[0]}×{size[1]} pixels cannot be written as JPEG.")
    grey = cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY)
    thumbnail = cv2.resize(grey, _THUMBNAIL, interpolation=cv2.INTER_AREA)
    return Picture(jpeg.tobytes(), thumbnail.astype(np.uint8))


def _decoded(frame: VideoFrame | Still, size: tuple[int, int]) -> NDArray[np.uint8]:
    """BGR [rows, columns, 3], of which this (width, height) is wanted."""
    if isinstance(frame, VideoFrame):
        if 4 * size[0] * size[1] <= frame.width * frame.height and _is_plain(frame):
            return _shrunk(frame, size)
        return np.asarray(frame.to_ndarray(format="bgr24"), np.uint8)
    try:
        # Twice the size a side, so that making it smaller does not show where it was done.
        return frame.pixels(4 * size[0] * size[1])
    except ValueError as error:
        raise PictureError(str(error)) from error


def _is_plain(frame: VideoFrame) -> bool:
    """As nearly all cameras send it: 8 bits, 4:2:0, BT.601."""
    return frame.format.name in ("yuv420p", "yuvj420p") and int(frame.colorspace) in _BT601


def _shrunk(frame: VideoFrame, size: tuple[int, int]) -> NDArray[np.uint8]:
    """BGR of this (width, height), made smaller before its colours are: a 4K picture as BGR takes
    25 MB and most of the time."""
    luma, blue, red = (_plane_shrunk(_plane(plane), size) for plane in frame.planes)
    if frame.format.name == "yuv420p" and frame.color_range != ColorRange.JPEG:
        luma, blue, red = cv2.LUT(luma, _LUMA), cv2.LUT(blue, _CHROMA), cv2.LUT(red, _CHROMA)
    bgr = cv2.cvtColor(cv2.merge([luma, red, blue]), cv2.COLOR_YCrCb2BGR)
    return np.asarray(bgr, np.uint8)


def _plane(plane: VideoPlane) -> NDArray[np.uint8]:
    """[rows, columns], not copied."""
    rows = np.frombuffer(memoryview(plane), np.uint8)[: plane.height * plane.line_size]
    return rows.reshape(plane.height, plane.line_size)[:, : plane.width]


def _plane_shrunk(plane: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """In two steps where a whole factor leads to at least twice the size: that one is fast."""
    height, width = plane.shape
    most = min(width // (2 * size[0]), height // (2 * size[1]))
    factor = next((k for k in range(most, 1, -1) if width % k == height % k == 0), 1)
    if factor > 1:
        whole = (width // factor, height // factor)
        plane = np.asarray(cv2.resize(plane, whole, interpolation=cv2.INTER_AREA), np.uint8)
    return np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_AREA), np.uint8)
