"""Rotating by a difference, and positions without gaps."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import Qwen2Config
from transformers.models.qwen2.modeling_qwen2 import Qwen2RotaryEmbedding, apply_rotary_pos_emb

from model_worker.engine import Engine
from model_worker.memory.cache import BoundedCache, CacheShape
from model_worker.memory.rotation import compact, rotate

FAMILIES = (
    "llava_onevision",
    "qwen2_vl",
    "qwen2_5_vl",
    "qwen3_vl",
    "llava_next_video",
    "smolvlm",
    "internvl",
)
CONFIG = Qwen2Config(hidden_size=128, num_attention_heads=4, max_position_embeddings=40_000)
ROTARY = Qwen2RotaryEmbedding(CONFIG)


def rotated_afresh(keys: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
    """`keys` `[heads, tokens, head_dim]` at `positions` `[tokens]`, by the model's own code."""
    cos, sin = ROTARY(keys, positions[None])
    return apply_rotary_pos_emb(keys[None], keys[None], cos, sin)[1][0]


def test_rotating_by_the_difference_is_rotating_afresh() -> None:
    keys = torch.randn(3, 50, 32, generator=torch.Generator().manual_seed(0))
    old = torch.arange(30_000, 30_050)
    new = torch.arange(7, 57)
    moved = rotate(rotated_afresh(keys, old), old, new, ROTARY.inv_freq)
    assert (moved - rotated_afresh(keys, new)).abs().max() <= 1e-3
    assert (rotated_afresh(keys, old) - rotated_afresh(keys, new)).abs().max() > 0.5


@pytest.mark.parametrize("far", [300, 30_000])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_unit_of_each_family_moves_as_if_rotated_afresh(
    engines: dict[str, Engine], family: str, far: int
) -> None:
    """By the family's own rotary embedding: one axis, or sections of channels by axis."""
    adapter = engines[family].adapter
    generator = torch.Generator().manual_seed(0)
    grid = adapter.grid(32, 32)
    old, new = (adapter.unit_positions(11, start, grid, *adapter.text_room) for start in (far, 17))
    keys = torch.randn(2, old.shape[1], adapter.head_dim, generator=generator)

    def afresh(positions: torch.Tensor) -> torch.Tensor:
        axes = positions if adapter.position_axes == 1 else positions[:, None]
        cos, sin = adapter._decoder.rotary_emb(keys, axes)
        return apply_rotary_pos_emb(keys[None], keys[None], cos, sin)[1][0]

    moved = rotate(afresh(old), old[0], new[0], adapter.time_frequencies())
    assert moved.dtype == torch.float32
    assert (moved - afresh(new)).abs().max() <= 1e-3
    assert (afresh(old) - afresh(new)).abs().max() > 0.5
    assert (adapter.position_axes == 3) == (family in ("qwen2_vl", "qwen2_5_vl", "qwen3_vl"))


def test_a_hundred_small_moves_drift_less_than_a_thousandth() -> None:
    keys = torch.randn(1, 20, 32, generator=torch.Generator().manual_seed(0))
    start = torch.arange(20)
    moved = rotated_afresh(keys, start)
    for step in range(100):
        old = start + step * 123
        moved = rotate(moved, old, old + 123, ROTARY.inv_freq)
    assert (moved - rotated_afresh(keys, start + 12_300)).abs().max() <= 1e-3


def test_pairs_that_another_axis_turns_stay() -> None:
    frequencies = ROTARY.inv_freq.clone()
    frequencies[4:] = 0.0
    keys = torch.randn(1, 5, 32)
    moved = rotate(keys, torch.zeros(1, 5), torch.full((1, 5), 9), frequencies)
    assert torch.equal(moved[..., 4:16], keys[..., 4:16])
    assert torch.equal(moved[..., 20:], keys[..., 20:])
    assert not torch.allclose(moved[..., :4], keys[..., :4])


@settings(deadline=None)
@given(
    seed=st.integers(0, 10_000),
    patches=st.integers(1, 6),
    tokens=st.integers(1, 40),
    room=st.integers(0, 400),
)
def test_positions_keep_their_order_inside_the_span(
    seed: int, patches: int, tokens: int, room: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    frames = 200
    kept = torch.stack(
        [torch.randperm(frames * patches, generator=generator)[:tokens].sort()[0] for _ in range(6)]
    ).view(2, 3, tokens)
    times, patch = kept // patches, kept % patches
    span = tokens + room
    positions, end = compact(times.double(), patch, patches, patches, start=11, span=span)
    assert positions.dtype == torch.int32
    assert (positions.diff(dim=-1) >= 0).all()
    assert positions.min() >= 11
    assert positions.max() < end <= 11 + span
    newest = times == times[..., -1:]
    width = min(patches, span // int(times.diff(dim=-1).ne(0).sum(-1).max() + 1))
    assert (positions[newest] >= end - width).all()
    if width == patches:  # room for whole frames: every token keeps its place in its frame
        assert torch.equal(positions % patches, (patch + end) % patches)


def test_the_cache_turns_its_keys_to_their_new_positions() -> None:
    shape = CacheShape(2, 1, 32, prefix=3, budget=8, block=8, scratch=4)
    cache = BoundedCache(shape, torch.float32, torch.device("cpu"))
    keys = torch.randn(2, 1, 12, 32, generator=torch.Generator().manual_seed(0))
    old = torch.arange(12) * 1000 + 3
    for layer in range(2):
        cache.buffer[layer, 0, :, 3:15] = rotated_afresh(keys[layer], old)
    cache.commit_visual(torch.zeros(12), torch.arange(12), old)
    values = cache.visual_values.clone()
    end = cache.compact(ROTARY.inv_freq, tokens_per_frame=1, stride=1, span=100)
    assert end == 15
    assert torch.equal(cache.positions[0, 0, :12], torch.arange(3, 15, dtype=torch.int32))
    for layer in range(2):
        expected = rotated_afresh(keys[layer], torch.arange(3, 15))
        assert (cache.visual_keys[layer] - expected).abs().max() <= 1e-3
    assert torch.equal(cache.visual_values, values)
