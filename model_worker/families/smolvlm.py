"""SmolVLM2 (Marafioti et al. 2025, arXiv 2504.05299): SigLIP, pixel shuffle, 1-D RoPE.

A frame is squeezed to the tower's square. Each has its time before it: `Frame from 01:23:`.

Its processor opens a video with the number of its frames and its duration, which a stream does not
know: the opening here is the same sentence without the two.
"""

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from transformers.models.smolvlm.processing_smolvlm import (
    DEFAULT_CHAT_TEMPLATE,
    DEFAULT_MEDIA_OUTTRO,
    FRAME_TIMESTAMP_MESSAGE,
)

from model_worker.checkpoint import Checkpoint
from model_worker.families.base import Grid
from model_worker.families.fixed import FixedGrid
from model_worker.families.interleaved import Interleaved
from model_worker.families.pictures import HALF, Normaliser, resize


class SmolVLM(FixedGrid, Interleaved):
    """Frames of a fixed size; a unit is one frame with its time."""

    model_types: ClassVar[tuple[str, ...]] = ("smolvlm",)
    opening = "You are provided the following series of frames from a video.\n"
    ending = DEFAULT_MEDIA_OUTTRO

    def __init__(self, checkpoint: Checkpoint) -> None:
        super().__init__(checkpoint)
        # Its processor uses this template wherever there is a video, whatever the checkpoint has.
        self._template.source = DEFAULT_CHAT_TEMPLATE
        vision = self.config.vision_config
        side = _edge(self._preprocessing, "max_image_size") or vision.image_size
        shuffled = side // vision.patch_size // self.config.scale_factor
        self._grid = Grid(shuffled, shuffled, side, side)
        sampling = self._preprocessing.get("video_sampling") or {}
        self._long_edge = _edge(sampling, "video_size") or _edge(self._preprocessing, "size")
        self._normalise = Normaliser(self._preprocessing, HALF, HALF)

    @property
    def _decoder(self) -> Any:
        return self.model.model.text_model

    @property
    def video_text(self) -> str:
        return getattr(self.tokenizer, "video_token", None) or "<video>"

    def words(self, index: int, seconds: list[float]) -> tuple[str, str]:
        """As `SmolVLMProcessor.replace_video_token`."""
        fake = getattr(self.tokenizer, "fake_image_token", None) or "<fake_token_around_image>"
        whole = getattr(self.tokenizer, "global_image_token", None) or "<global-img>"
        minutes, rest = divmod(int(seconds[0]), 60)
        time = FRAME_TIMESTAMP_MESSAGE.format(timestamp=f"{minutes:02d}:{rest:02d}")
        return time + fake + whole, fake

    def pixels(self, frame: NDArray[np.uint8], grid: Grid) -> Tensor:
        """In two steps, as the processor: the longer edge first, then the square."""
        if self._long_edge is not None:
            width, height = _fitted(frame.shape[1], frame.shape[0], self._long_edge)
            frame = resize(frame, width, height, Image.Resampling.LANCZOS)
        frame = resize(frame, grid.width, grid.height, Image.Resampling.LANCZOS)
        return self._normalise(frame, grid)

    def encode(self, units: Tensor, grid: Grid) -> Tensor:
        pixels = units[:, 0].to(self.device, self.dtype)
        outputs = self.model.get_image_features(pixel_values=pixels[None])
        tokens: Tensor = outputs.pooler_output[0]
        return tokens.view(len(units), grid.tokens, -1)


def _edge(settings: dict[str, Any], name: str) -> int | None:
    edge: int | None = (settings.get(name) or {}).get("longest_edge")
    return edge


def _fitted(width: int, height: int, longer: int) -> tuple[int, int]:
    """The size whose longer side is `longer`; the other keeps the shape and is even."""
    aspect = width / height
    shorter = int(longer / aspect if width >= height else longer * aspect)
    shorter = max(1, shorter + shorter % 2)
    return (longer, shorter) if width >= height else (shorter, longer)
