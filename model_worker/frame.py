"""A frame as a session takes it, and what is wrong with one that it does not take."""

import math

import numpy as np
from numpy.typing import NDArray

Frame = NDArray[np.uint8]  # RGB [height, width, 3]

LEAST_SIDE = 16  # pixels


class FrameError(ValueError):
    """A frame that cannot be used; the message says what to change."""


def check_frame(frame: Frame, timestamp: float, newest: float) -> None:
    """Raise FrameError unless `frame` is one and came after the one at `newest` (seconds)."""
    if not isinstance(frame, np.ndarray) or frame.dtype != np.uint8:
        kind = getattr(frame, "dtype", type(frame).__name__)
        raise FrameError(f"a frame must be a uint8 array, not {kind}")
    if frame.ndim != 3 or frame.shape[2] != 3:
        raise FrameError(f"a frame must be [height, width, 3], RGB, not {list(frame.shape)}")
    height, width = frame.shape[:2]
    if min(height, width) < LEAST_SIDE:
        raise FrameError(
            f"a frame of {width}x{height} pixels is too small: each side needs {LEAST_SIDE} or more"
        )
    if not math.isfinite(timestamp):
        raise FrameError(f"a timestamp must be a number of seconds, not {timestamp}")
    if timestamp <= newest:
        raise FrameError(
            f"timestamps must rise: {timestamp:g} s came after a frame at {newest:g} s"
        )
