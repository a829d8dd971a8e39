"""A frame as a tensor of the size that a model takes."""

from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model_worker.families.base import Grid

# What both families fall back to where a checkpoint has no preprocessing settings.
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


class Normaliser:
    """Bytes to normalised pixel values, as the checkpoint's processor does it."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self._mean = torch.tensor(settings.get("image_mean", CLIP_MEAN))[:, None, None]
        self._std = torch.tensor(settings.get("image_std", CLIP_STD))[:, None, None]

    def __call__(self, frame: NDArray[np.uint8], grid: Grid) -> Tensor:
        """RGB `[height, width, 3]` of any size to float32 `[3, grid.height, grid.width]`."""
        return (to_tensor(frame, grid) / 255.0 - self._mean) / self._std


def to_tensor(frame: NDArray[np.uint8], grid: Grid) -> Tensor:
    """A frame, RGB `[height, width, 3]`, resized to the grid's pixels: float32 `[3, ...]`."""
    height, width = frame.shape[:2]
    frame = np.ascontiguousarray(frame)
    if (height, width) != (grid.height, grid.width):
        shrinks = grid.height * grid.width < height * width
        how = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
        frame = cv2.resize(frame, (grid.width, grid.height), interpolation=how)
    return torch.tensor(frame).permute(2, 0, 1).float()
