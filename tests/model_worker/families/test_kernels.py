"""The quicker kernels against those of torch and transformers."""

import copy

import numpy as np
import pytest
import torch
from torch import nn
from transformers import AutoModelForImageTextToText
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from model_worker.engine import Engine
from model_worker.families.kernels import FRAMES, attend_by_frame, quicken
from tests.model_worker.conftest import build_qwen


@pytest.mark.parametrize(("height", "width"), [(24, 32), (27, 39)])
@torch.no_grad()
def test_patches_of_pictures_are_the_convolutions(height: int, width: int) -> None:
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Conv2d(3, 16, 8, stride=8))
    quicker = copy.deepcopy(plain)
    quicken(quicker)
    assert type(quicker[0]) is not nn.Conv2d
    pixels = torch.randn(2, 3, height, width)
    assert quicker(pixels).shape == plain(pixels).shape
    assert (quicker(pixels) - plain(pixels)).abs().max() < 1e-5


@torch.no_grad()
def test_patches_of_clips_are_the_convolutions() -> None:
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Conv3d(3, 16, (2, 8, 8), stride=(2, 8, 8), bias=False))
    quicker = copy.deepcopy(plain)
    quicken(quicker)
    for pixels in (torch.randn(5, 3, 2, 8, 8), torch.randn(1, 3, 4, 16, 8)):
        assert quicker(pixels).shape == plain(pixels).shape
        assert (quicker(pixels) - plain(pixels)).abs().max() < 1e-5


def test_convolutions_that_overlap_stay() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3, stride=1), nn.Conv2d(3, 4, 2, stride=2, padding=1))
    quicken(model)
    assert all(type(module) is nn.Conv2d for module in model)


@pytest.mark.parametrize("lengths", [[6], [6, 6, 6], [6, 2, 4]])
def test_each_frame_sees_itself(lengths: list[int]) -> None:
    torch.manual_seed(0)
    query, key, value = torch.randn(3, 1, 2, sum(lengths), 8).unbind(0)
    ends = torch.tensor([0, *lengths], dtype=torch.int32).cumsum(0)
    output, _ = attend_by_frame(
        nn.Module(), query, key, value, None, scaling=0.3, cu_seq_lens_q=ends, max_length_q=6
    )
    splits = [each.split(lengths, dim=2) for each in (query, key, value)]
    module = nn.Module()
    expected = [
        sdpa_attention_forward(module, *each, None, scaling=0.3, is_causal=False)[0]
        for each in zip(*splits, strict=True)
    ]
    assert torch.allclose(output, torch.cat(expected, dim=1), atol=1e-6)


@pytest.mark.parametrize("family", ["qwen2_vl", "qwen2_5_vl", "qwen3_vl"])
@torch.no_grad()
def test_a_tower_sees_what_transformers_sees(
    engines: dict[str, Engine], checkpoints: dict[str, object], family: str
) -> None:
    """Several units at once, of a grid whose windows are not all of one size."""
    adapter = engines[family].adapter
    assert adapter.model.model.visual.config._attn_implementation == FRAMES
    plain = AutoModelForImageTextToText.from_pretrained(checkpoints[family]).eval()
    grid = adapter.grid(80, 48)
    frame = np.random.default_rng(0).integers(0, 256, (6, 48, 80, 3), dtype=np.uint8)
    units = torch.stack([adapter.pixels(each, grid) for each in frame])
    units = units.view(3, 2, *units.shape[1:])
    together = adapter.encode(units, grid)
    ours, adapter.model = adapter.model, plain
    try:
        expected = adapter.encode(units, grid)
    finally:
        adapter.model = ours
    assert (together - expected).abs().max() < 1e-4


def test_a_chosen_attention_stays() -> None:
    model, _ = build_qwen(new=False)
    model.model.visual.config._attn_implementation = "eager"
    quicken(model)
    assert model.model.visual.config._attn_implementation == "eager"
