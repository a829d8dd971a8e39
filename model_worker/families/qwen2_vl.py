"""Qwen2-VL (arXiv 2409.12191) and Qwen2.5-VL (arXiv 2502.13923): two frames a unit, M-RoPE.

Positions have three axes: time, height, width. Qwen2.5-VL counts time in seconds
(`tokens_per_second`), so a unit's position comes from its first frame's timestamp.
"""

import math
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import smart_resize

from model_worker.checkpoint import Checkpoint
from model_worker.families.base import FamilyAdapter, Grid
from model_worker.families.pictures import Normaliser, padded

_MOST_TOKENS = 144  # a unit; about the 140 of InfiniPot-V's measurements
_LEAST_TOKENS = 4
_SQUEEZED = 1.1  # how much wider or higher a frame may get by being resized to a grid


class Qwen2VL(FamilyAdapter):
    """Frames keep their shape within `max_pixels`; a unit is `temporal_patch_size` frames."""

    model_types: ClassVar[tuple[str, ...]] = ("qwen2_vl", "qwen2_5_vl")
    position_axes: ClassVar[int] = 3

    def __init__(self, checkpoint: Checkpoint) -> None:
        super().__init__(checkpoint)
        vision = self.config.vision_config
        self.frames_per_unit = vision.temporal_patch_size
        self._patch: int = vision.patch_size
        self._merge: int = vision.spatial_merge_size
        self._per_second: int | None = getattr(vision, "tokens_per_second", None)
        self._normalise = Normaliser(self._preprocessing)
        self._text_follows_highest = self._probe_text_start()

    @property
    def frame_size(self) -> tuple[int, int] | None:
        return None

    @property
    def max_pixels(self) -> int:
        return _MOST_TOKENS * self._cell**2

    @property
    def most_tokens_per_unit(self) -> int:
        return _MOST_TOKENS

    @property
    def _cell(self) -> int:
        """The side in pixels of what becomes one visual token."""
        return self._patch * self._merge

    def grid(self, width: int, height: int) -> Grid:
        least = _LEAST_TOKENS * self._cell**2
        height, width = smart_resize(height, width, self._cell, least, self.max_pixels)
        return Grid(height // self._cell, width // self._cell, height, width)

    def pixels(self, frame: NDArray[np.uint8], grid: Grid) -> Tensor:
        return self._normalise(self._shaped(frame, grid), grid)

    def _shaped(self, frame: NDArray[np.uint8], grid: Grid) -> NDArray[np.uint8]:
        """The grid is that of the stream's first frame: a camera may be turned since."""
        height, width = frame.shape[:2]
        other = width / height * grid.height / grid.width
        if 1 / _SQUEEZED <= other <= _SQUEEZED or self.grid(width, height) == grid:
            return frame
        return padded(frame, grid)

    def encode(self, units: Tensor, grid: Grid) -> Tensor:
        shape = [1, grid.rows * self._merge, grid.columns * self._merge]
        outputs = self.model.get_video_features(
            self.patches(units, grid).to(self.device, self.dtype),
            video_grid_thw=torch.tensor([shape] * len(units), device=self.device),
        )
        return torch.stack(tuple(outputs.pooler_output))

    def patches(self, units: Tensor, grid: Grid) -> Tensor:
        """`[units, frames, 3, height, width]` as the tower takes it: one row a patch, merged
        cells row by row, inside a cell its patches; in a row colour, frame, height, width."""
        count, frames = units.shape[:2]
        cells = units.view(
            count, frames, 3,
            grid.rows, self._merge, self._patch,
            grid.columns, self._merge, self._patch,
        )  # fmt: skip
        return cells.permute(0, 3, 6, 4, 7, 2, 1, 5, 8).flatten(5).flatten(0, 4)

    def time_position(self, units: int, seconds: float, grid: Grid) -> int | None:
        if self._per_second is None:
            return units
        return math.floor(seconds * self._per_second + 1e-6)

    def time_stride(self, tokens_per_unit: int) -> int:
        return 1

    def visual_positions(self, prefix: int, start: int, grid: Grid) -> Tensor:
        time = torch.full((grid.tokens,), start, device=self.device)
        rows = torch.arange(grid.rows, device=self.device).repeat_interleave(grid.columns)
        columns = torch.arange(grid.columns, device=self.device).repeat(grid.rows)
        return torch.stack((time, rows + prefix, columns + prefix))

    def text_start(self, prefix: int, highest: int, grid: Grid) -> int:
        if self._text_follows_highest:
            return highest + 1
        return prefix + max(grid.rows, grid.columns)

    def time_frequencies(self) -> Tensor:
        rotary = self.model.model.language_model.rotary_emb
        frequencies: Tensor = rotary.inv_freq.float()
        section = self.config.text_config.rope_parameters["mrope_section"]
        along_time = torch.zeros_like(frequencies)
        # The sections take turns: time, height, width, and again.
        start = 0
        for index, length in enumerate(section):
            if index % 3 == 0:
                along_time[start : start + length] = frequencies[start : start + length]
            start += length
        return along_time

    def _probe_text_start(self) -> bool:
        """Whether text goes on after the highest visual position, as the papers say.

        Releases of `transformers` differ: some go on after the larger side of the grid, however
        long the video is. The model is asked, so that answers are those of the installed release.
        """
        units = 8
        visual = [self.config.video_token_id] * units
        ids = torch.tensor([[*visual, 0]])
        positions, _ = self.model.model.get_rope_index(
            input_ids=ids,
            mm_token_type_ids=torch.tensor([[2] * units + [0]]),
            video_grid_thw=torch.tensor([[units, self._merge, self._merge]]),
        )
        return bool(positions[0, 0, -1] > positions[0, 0, -2])
