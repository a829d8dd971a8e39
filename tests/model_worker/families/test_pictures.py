"""Frames against the PIL processors of `transformers`, whose filters the later families use."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import GotOcr2ImageProcessorPil
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil
from transformers.models.smolvlm.image_processing_pil_smolvlm import SmolVLMImageProcessorPil

from model_worker.engine import Engine
from model_worker.families.pictures import CLIP_MEAN, CLIP_STD
from model_worker.families.qwen3_vl import Qwen3VL
from model_worker.families.smolvlm import SmolVLM

SIDE = {"height": 32, "width": 32}
CLIP = {"image_mean": CLIP_MEAN, "image_std": CLIP_STD}
HALF = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}

# What each family's video processor does, by the image processor that does the same with PIL.
PROCESSORS: dict[str, Callable[[], Any]] = {
    "llava_next_video": lambda: CLIPImageProcessorPil(
        size={"shortest_edge": 32}, crop_size=SIDE, **CLIP
    ),
    "internvl": lambda: GotOcr2ImageProcessorPil(size=SIDE, crop_to_patches=False, **CLIP),
    "smolvlm": lambda: SmolVLMImageProcessorPil(
        size={"longest_edge": 64}, max_image_size={"longest_edge": 32}, do_image_splitting=False
    ),
}


@pytest.mark.parametrize("size", [(32, 32), (48, 64), (90, 41), (240, 320), (20, 17)])
@pytest.mark.parametrize("family", PROCESSORS)
def test_pixels_are_those_of_the_processor(
    engines: dict[str, Engine],
    monkeypatch: pytest.MonkeyPatch,
    family: str,
    size: tuple[int, int],
) -> None:
    adapter = engines[family].adapter
    if isinstance(adapter, SmolVLM):
        monkeypatch.setattr(adapter, "_long_edge", 64)
    frame = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    made = PROCESSORS[family]()(frame, return_tensors="pt")["pixel_values"]
    expected = made.reshape(-1, 3, 32, 32)
    assert len(expected) == 1
    pixels = adapter.pixels(frame, adapter.grid(size[1], size[0]))
    assert (pixels - expected[0]).abs().max() < 1e-5


@pytest.mark.parametrize("family", ["qwen2_vl", "qwen2_5_vl", "qwen3_vl"])
@pytest.mark.parametrize("turned", [(320, 180), (64, 36), (200, 200)])
def test_a_camera_that_is_turned_shows_the_whole_picture_unsqueezed(
    engines: dict[str, Engine], family: str, turned: tuple[int, int]
) -> None:
    adapter = engines[family].adapter
    grid = adapter.grid(320, 180)
    height, width = turned
    pixels = adapter.pixels(np.full((height, width, 3), 255, np.uint8), grid)
    assert pixels.shape == (3, grid.height, grid.width)
    black = adapter.pixels(np.zeros((180, 320, 3), np.uint8), grid)[:, :1, :1]
    shown = (pixels - black).abs().sum(0) > 0.5
    rows, columns = shown.any(1).sum().item(), shown.any(0).sum().item()
    assert rows == grid.height
    assert columns == pytest.approx(grid.height * width / height, abs=3)
    assert shown[:, grid.width // 2].all()


@pytest.mark.parametrize(("height", "width"), [(32, 32), (64, 48), (100, 150), (240, 320)])
def test_patches_of_qwen3_are_those_of_the_processor(
    engines: dict[str, Engine], height: int, width: int
) -> None:
    adapter = engines["qwen3_vl"].adapter
    assert isinstance(adapter, Qwen3VL)
    frame = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    size = {"shortest_edge": 1024, "longest_edge": adapter.max_pixels}
    processor = Qwen2VLImageProcessorPil(patch_size=8, size=size, **HALF)
    expected = processor(frame, return_tensors="pt")
    grid = adapter.grid(width, height)
    assert expected["image_grid_thw"].tolist() == [[1, grid.rows * 2, grid.columns * 2]]
    pixels = adapter.pixels(frame, grid)
    patches = adapter.patches(torch.stack((pixels, pixels))[None], grid)
    assert (patches - expected["pixel_values"]).abs().max() < 1e-5


@torch.no_grad()
@pytest.mark.parametrize("family", [*PROCESSORS, "qwen3_vl"])
def test_units_are_encoded_apart(engines: dict[str, Engine], family: str) -> None:
    adapter = engines[family].adapter
    grid = adapter.grid(32, 32)
    units = torch.randn(3, adapter.frames_per_unit, 3, 32, 32)
    together = adapter.encode(units, grid)
    assert together.shape == (3, 4, 48 * 3 if family == "qwen3_vl" else 48)
    for i in range(3):
        assert torch.allclose(adapter.encode(units[i : i + 1], grid)[0], together[i], atol=1e-4)
    assert not torch.allclose(together[0], together[1], atol=1e-2)
