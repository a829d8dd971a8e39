"""LLaVA-NeXT-Video (Zhang et al. 2024): CLIP tower, pooled tokens, 1-D RoPE.

A frame is resized by its shorter side and cut to the tower's square from the middle; its tokens
follow the tokens of the frame before, and nothing stands between. Its decoders are Llama and
Mistral, whose tokenizers open a conversation with a token of their own.
"""

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from model_worker.checkpoint import Checkpoint
from model_worker.families.base import FamilyAdapter, Grid
from model_worker.families.pictures import Normaliser, resize


class LlavaNextVideo(FamilyAdapter):
    """Frames of any size, of which the middle is seen; a unit is one frame."""

    model_types: ClassVar[tuple[str, ...]] = ("llava_next_video",)
    adds_special_tokens: ClassVar[bool] = True

    def __init__(self, checkpoint: Checkpoint) -> None:
        super().__init__(checkpoint)
        vision = self.config.vision_config
        self._side: int = vision.image_size
        pooled = self._side // vision.patch_size // self.config.spatial_pool_stride
        self._grid = Grid(pooled, pooled, self._side, self._side)
        self._normalise = Normaliser(self._preprocessing)

    @property
    def frame_size(self) -> tuple[int, int] | None:
        return None

    @property
    def max_pixels(self) -> int:
        return 2 * self._side**2  # the shorter side still fills the square at 2:1

    @property
    def most_tokens_per_unit(self) -> int:
        return self._grid.tokens

    def grid(self, width: int, height: int) -> Grid:
        return self._grid

    def pixels(self, frame: NDArray[np.uint8], grid: Grid) -> Tensor:
        height, width = frame.shape[:2]
        short = min(height, width)
        width, height = self._side * width // short, self._side * height // short
        frame = resize(frame, width, height, Image.Resampling.BICUBIC)
        top, left = (height - self._side) // 2, (width - self._side) // 2
        middle = frame[top : top + self._side, left : left + self._side]
        return self._normalise(middle, grid)

    def encode(self, units: Tensor, grid: Grid) -> Tensor:
        pixels = units[:, 0].to(self.device, self.dtype)
        outputs = self.model.get_video_features(pixel_values_videos=pixels[None])
        tokens: Tensor = outputs.pooler_output[0]
        return tokens.view(len(units), grid.tokens, -1)
