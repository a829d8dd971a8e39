"""Qwen3-VL, dense (arXiv 2511.21631): timestamps in words, interleaved M-RoPE, DeepStack.

Two frames are a unit, with its time in words before it: `<3.5 seconds>`. Positions have three axes
that all go on from unit to unit, so a unit that moves along time moves along each.

DeepStack (arXiv 2406.04334): features of inner layers of the tower are added to the hidden states
of visual tokens behind the first decoder layers. Here they travel beside the embeddings, as further
channels: "hidden" of what this family encodes and embeds is `(1 + deepstack layers) * hidden_size`,
zeros behind the first for text.
"""

import math
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from transformers.models.qwen3_vl.processing_qwen3_vl import Qwen3VLProcessor

from model_worker.checkpoint import Checkpoint
from model_worker.families.base import FamilyAdapter, Grid
from model_worker.families.interleaved import Interleaved
from model_worker.families.pictures import HALF, Normaliser, resize
from model_worker.families.qwen2_vl import Qwen2VL

_START, _VIDEO, _END = "<|vision_start|>", "<|video_pad|>", "<|vision_end|>"


class Qwen3VL(Interleaved, Qwen2VL):
    """Frames keep their shape within `max_pixels`; a unit is two frames with their time."""

    model_types: ClassVar[tuple[str, ...]] = ("qwen3_vl",)

    def __init__(self, checkpoint: Checkpoint) -> None:
        super().__init__(checkpoint)
        self._hidden: int = self.config.text_config.hidden_size
        self._deep: int = len(self.config.vision_config.deepstack_visual_indexes)
        self._normalise = Normaliser(self._preprocessing, HALF, HALF)

    @property
    def video_text(self) -> str:
        """Releases of `transformers` differ: some leave the template's marks around a video."""
        leaves_marks = "replace_video_token" in vars(Qwen3VLProcessor)
        return _VIDEO if leaves_marks else _START + _VIDEO + _END

    def words(self, index: int, seconds: list[float]) -> tuple[str, str]:
        """As `Qwen3VLProcessor.replace_video_token`: the middle between first and last frame."""
        middle = (seconds[0] + seconds[-1]) / 2
        return f"<{middle:.1f} seconds>{_START}", _END

    @property
    def most_tokens_per_unit(self) -> int:
        return super().most_tokens_per_unit + sum(self.text_room)

    def pixels(self, frame: NDArray[np.uint8], grid: Grid) -> Tensor:
        frame = resize(self._shaped(frame, grid), grid.width, grid.height, Image.Resampling.BICUBIC)
        return self._normalise(frame, grid)

    def encode(self, units: Tensor, grid: Grid) -> Tensor:
        shape = [1, grid.rows * self._merge, grid.columns * self._merge]
        outputs = self.model.get_video_features(
            self.patches(units, grid).to(self.device, self.dtype),
            video_grid_thw=torch.tensor([shape] * len(units), device=self.device),
        )
        channels = (outputs.pooler_output, *outputs.deepstack_features)
        return torch.cat([torch.stack(tuple(each)) for each in channels], dim=-1)

    def embed(self, ids: list[int]) -> Tensor:
        return torch.nn.functional.pad(super().embed(ids), (0, self._deep * self._hidden))

    def _decoder_inputs(self, embeddings: Tensor) -> dict[str, Any]:
        first, *deep = embeddings.chunk(1 + self._deep, dim=-1)
        everywhere = torch.ones(1, len(embeddings), dtype=torch.bool, device=self.device)
        return {
            "inputs_embeds": first[None],
            "visual_pos_masks": everywhere,
            "deepstack_visual_embeds": deep,
        }

    def time_position(self, units: int, seconds: float, grid: Grid) -> int | None:
        return None

    def time_stride(self, tokens_per_unit: int) -> int:
        text = sum(self.text_room)
        return text + math.isqrt(tokens_per_unit - text)  # the shortest: a square of frames

    def visual_positions(self, prefix: int, start: int, grid: Grid) -> Tensor:
        return super().visual_positions(start, start, grid)

    def text_start(self, prefix: int, highest: int, grid: Grid) -> int:
        return highest + 1

    def highest_after(self, prefix: int, end: int, grid: Grid) -> int:
        return end + max(grid.rows, grid.columns) - 1

    def time_frequencies(self) -> Tensor:
        return FamilyAdapter.time_frequencies(self)

    def _probe_text_start(self) -> bool:
        return True
