"""LLaVA-OneVision (Li et al. 2024, arXiv 2408.03326): SigLIP tower, 2x2 pooling, 1-D RoPE.

A frame is squeezed to the tower's square; its tokens follow the tokens of the frame before; one
`image_newline` embedding closes the video.
"""

import math
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from model_worker.checkpoint import Checkpoint
from model_worker.families.base import Grid
from model_worker.families.fixed import FixedGrid
from model_worker.families.pictures import Normaliser


class LlavaOnevision(FixedGrid):
    """Frames of a fixed size; a unit is one frame."""

    model_types: ClassVar[tuple[str, ...]] = ("llava_onevision",)

    def __init__(self, checkpoint: Checkpoint) -> None:
        super().__init__(checkpoint)
        vision = self.config.vision_config
        self._side: int = vision.image_size
        pooled = math.ceil(self._side // vision.patch_size / 2)
        self._grid = Grid(pooled, pooled, self._side, self._side)
        self._normalise = Normaliser(self._preprocessing)

    def pixels(self, frame: NDArray[np.uint8], grid: Grid) -> Tensor:
        return self._normalise(frame, grid)

    def encode(self, units: Tensor, grid: Grid) -> Tensor:
        pixels = units[:, 0].to(self.device, self.dtype)
        outputs = self.model.get_video_features(pixel_values_videos=pixels[None])
        tokens: Tensor = outputs.pooler_output[0, :-1]  # the last is image_newline, see closing()
        return tokens.view(len(units), grid.tokens, -1)

    def closing(self) -> Tensor:
        newline: Tensor = self.model.model.image_newline[None]
        return newline

    def time_position(self, units: int, seconds: float, grid: Grid) -> int:
        return units * grid.tokens
