"""Packed attention against one query at a time, in plain words."""

import math
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from model_worker.memory import packed as module
from model_worker.memory.packed import PackedCache, Segment, packed_attention
from model_worker.memory.pool import KVPool

LAYERS, KV_HEADS, HEAD_DIM = 2, 2, 8


def slowly(
    query: Tensor, keys: Tensor, values: Tensor, seen: list[list[int]], scale: float
) -> Tensor:
    """`[heads, tokens, head_dim]` over `[kv_heads, keys, head_dim]`, token t seeing `seen[t]`."""
    heads, tokens, _ = query.shape
    output = torch.zeros_like(query)
    for head in range(heads):
        kv = head * keys.shape[0] // heads
        for token in range(tokens):
            logits = [float(query[head, token] @ keys[kv, at]) * scale for at in seen[token]]
            most = max(logits)
            weights = [math.exp(logit - most) for logit in logits]
            for weight, at in zip(weights, seen[token], strict=True):
                output[head, token] += values[kv, at] * (weight / sum(weights))
    return output


@settings(deadline=None, max_examples=30)
@given(
    lengths=st.lists(st.tuples(st.integers(0, 9), st.integers(1, 5)), min_size=1, max_size=4),
    group=st.sampled_from([1, 3]),
    hole=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_each_segment_sees_its_own_past_and_no_other(
    lengths: list[tuple[int, int]], group: int, hole: bool, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)

    def noise(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator)

    pool = KVPool(
        layers=LAYERS, kv_heads=KV_HEADS, head_dim=HEAD_DIM,
        dtype=torch.float32, device=torch.device("cpu"),
    )  # fmt: skip
    segments = []
    for before, tokens in lengths:
        hidden = (before // 3, before // 2) if hole else (0, 0)
        segments.append(Segment(pool, pool.allocate(before + tokens), before, tokens, hidden))
    for segment in segments:
        pool.view(segment.extent).copy_(noise(*pool.view(segment.extent).shape))
    total = sum(tokens for _, tokens in lengths)
    query = noise(1, KV_HEADS * group, total, HEAD_DIM)
    key, value = noise(1, KV_HEADS, total, HEAD_DIM), noise(1, KV_HEADS, total, HEAD_DIM)
    packed = PackedCache(segments)
    returned = packed.update(key, value, 1)
    assert returned[0] is key
    assert returned[1] is value
    output, weights = packed_attention(
        SimpleNamespace(layer_idx=1), query, key, value, None, scaling=0.3, packed=packed
    )  # type: ignore[arg-type]
    assert output.shape == (1, total, KV_HEADS * group, HEAD_DIM)
    assert weights is None
    first = 0
    for segment in segments:
        part = slice(first, first + segment.tokens)
        first += segment.tokens
        keys, values = pool.view(segment.extent)[1]
        assert torch.equal(keys[:, segment.at :], key[0, :, part])
        assert torch.equal(values[:, segment.at :], value[0, :, part])
        hidden_places = range(*segment.hidden)
        seen = [
            [at for at in range(segment.at + token + 1) if at not in hidden_places]
            for token in range(segment.tokens)
        ]
        expected = slowly(query[0, :, part], keys, values, seen, 0.3)
        assert (output[0, part].transpose(0, 1) - expected).abs().max() <= 1e-5


def test_devices_whose_kernels_take_no_groups_get_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    query, keys, values = torch.randn(1, 6, 4, 8), torch.randn(1, 2, 9, 8), torch.randn(1, 2, 9, 8)
    mask = torch.zeros(4, 9).masked_fill(torch.rand(4, 9) < 0.3, -torch.inf)
    mask[:, 0] = 0.0
    expected = module._attend(query, keys, values, mask, 0.5)
    monkeypatch.setattr(module, "_TAKES_GROUPS", ())
    assert (module._attend(query, keys, values, mask, 0.5) - expected).abs().max() <= 1e-6


def test_sessions_of_two_pools_are_not_packed() -> None:
    segments = []
    for _ in range(2):
        pool = KVPool(
            layers=1, kv_heads=1, head_dim=2, dtype=torch.float32, device=torch.device("cpu")
        )
        segments.append(Segment(pool, pool.allocate(3), 0, 3))
    with pytest.raises(AssertionError):
        PackedCache(segments)
