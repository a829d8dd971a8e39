"""InternVL3 (Zhu et al. 2025, arXiv 2504.10479): InternViT, pixel shuffle, 1-D RoPE.

A frame is squeezed to the tower's square. Frames are numbered: `Frame1: <img>...</img>`, a line
each.
"""

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from model_worker.checkpoint import Checkpoint
from model_worker.families.base import Grid
from model_worker.families.fixed import FixedGrid
from model_worker.families.interleaved import Interleaved
from model_worker.families.pictures import Normaliser, resize


class InternVL(FixedGrid, Interleaved):
    """Frames of a fixed size; a unit is one frame with its number."""

    model_types: ClassVar[tuple[str, ...]] = ("internvl",)

    def __init__(self, checkpoint: Checkpoint) -> None:
        super().__init__(checkpoint)
        vision = self.config.vision_config
        height, width = vision.image_size
        patch_height, patch_width = vision.patch_size
        ratio = self.config.downsample_ratio
        rows, columns = int(height // patch_height * ratio), int(width // patch_width * ratio)
        self._grid = Grid(rows, columns, height, width)
        self._normalise = Normaliser(self._preprocessing)

    @property
    def video_text(self) -> str:
        return getattr(self.tokenizer, "video_token", None) or "<video>"

    def words(self, index: int, seconds: list[float]) -> tuple[str, str]:
        """As `InternVLProcessor.replace_video_token`, whose lines are joined by line feeds."""
        start = getattr(self.tokenizer, "start_image_token", None) or "<img>"
        end = getattr(self.tokenizer, "end_image_token", None) or "</img>"
        return f"{chr(10) if index else ''}Frame{index + 1}: {start}", end

    def pixels(self, frame: NDArray[np.uint8], grid: Grid) -> Tensor:
        frame = resize(frame, grid.width, grid.height, Image.Resampling.BICUBIC)
        return self._normalise(frame, grid)

    def encode(self, units: Tensor, grid: Grid) -> Tensor:
        pixels = units[:, 0].to(self.device, self.dtype)
        tokens: Tensor = self.model.get_image_features(pixel_values=pixels).pooler_output
        return tokens
