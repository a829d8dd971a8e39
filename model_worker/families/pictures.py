"""A frame as a tensor of the size that a model takes."""

from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from model_worker.families.base import Grid

# What the families fall back to where a checkpoint has no preprocessing settings.
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
HALF = (0.5, 0.5, 0.5)


class Normaliser:
    """Bytes to normalised pixel values, as the checkpoint's processor does it."""

    def __init__(
        self,
        settings: dict[str, Any],
        mean: tuple[float, ...] = CLIP_MEAN,
        std: tuple[float, ...] = CLIP_STD,
    ) -> None:
        values = np.arange(256, dtype=np.float32)[:, None] / np.float32(255)
        scaled = values - np.array(settings.get("image_mean", mean), np.float32)
        scaled /= np.array(settings.get("image_std", std), np.float32)
        self._values = scaled[None]  # what each byte becomes, `[1, 256, 3]`

    def __call__(self, frame: NDArray[np.uint8], grid: Grid) -> Tensor:
        """RGB `[height, width, 3]` of any size to float32 `[3, grid.height, grid.width]`."""
        values = cv2.LUT(to_size(frame, grid), self._values)
        return torch.from_numpy(values).permute(2, 0, 1).contiguous()


def to_size(frame: NDArray[np.uint8], grid: Grid) -> NDArray[np.uint8]:
    """A frame, RGB `[height, width, 3]`, resized to the grid's pixels."""
    height, width = frame.shape[:2]
    frame = np.ascontiguousarray(frame)
    if (height, width) == (grid.height, grid.width):
        return frame
    shrinks = grid.height * grid.width < height * width
    how = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(frame, (grid.width, grid.height), interpolation=how), np.uint8)


def padded(frame: NDArray[np.uint8], grid: Grid) -> NDArray[np.uint8]:
    """A frame, RGB `[height, width, 3]`, with black beside it or above and below it, so that it has
    the grid's shape and nothing in it is squeezed."""
    height, width = frame.shape[:2]
    wide = max(width, round(height * grid.width / grid.height))
    high = max(height, round(width * grid.height / grid.width))
    left, top = (wide - width) // 2, (high - height) // 2
    sides = (top, high - height - top, left, wide - width - left)
    return np.asarray(cv2.copyMakeBorder(frame, *sides, cv2.BORDER_CONSTANT, value=0), np.uint8)


def resize(
    frame: NDArray[np.uint8], width: int, height: int, filter_: Image.Resampling
) -> NDArray[np.uint8]:
    """RGB `[height, width, 3]` of any size to this one, as a processor that resizes with PIL."""
    if frame.shape[:2] == (height, width):
        return frame
    return np.asarray(Image.fromarray(frame).resize((width, height), filter_))
