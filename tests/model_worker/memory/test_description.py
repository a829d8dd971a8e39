"""What a description says of a memory, against counting token by token."""

from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from model_worker.memory.description import MemoryDescription, kept_shares

PATCHES = 6


def memory(
    layers: int, heads: int, older: int, recent: int, kept: int, seed: int
) -> tuple[Tensor, Tensor]:
    """`kept` tokens of `older` frames at random for each layer and head, then `recent` frames
    whole: patches and times, `[layers, heads, tokens]`."""
    generator = torch.Generator().manual_seed(seed)
    times = torch.rand(older + recent, generator=generator, dtype=torch.float64).cumsum(0)
    whole = torch.arange(older * PATCHES, (older + recent) * PATCHES)
    rows = [torch.randperm(older * PATCHES, generator=generator) for _ in range(layers * heads)]
    chosen = torch.stack([torch.cat((row[:kept].sort()[0], whole)) for row in rows])
    chosen = chosen.view(layers, heads, -1)
    return (chosen % PATCHES).int(), times[chosen // PATCHES]


def counted(patches: Tensor, times: Tensor) -> dict[tuple[float, int], float]:
    heads = patches.shape[0] * patches.shape[1]
    pairs = zip(times.flatten().tolist(), patches.flatten().tolist(), strict=True)
    return {pair: count / heads for pair, count in Counter(pairs).items()}


def describe(frames: tuple[float, ...], shares: NDArray[Any]) -> MemoryDescription:
    return MemoryDescription(
        frames=frames, shares=shares.astype(np.float32), rows=1, columns=1, tokens=0,
        budget_tokens=1, cap_tokens=1, kv_bytes=1, bytes_per_token=1, span=None,
        next_compression_tokens=1, next_compaction_positions=None, compressions=0,
        position_compactions=0,
    )  # fmt: skip


@settings(deadline=None, max_examples=80)
@given(
    layers=st.integers(1, 4),
    heads=st.integers(1, 3),
    older=st.integers(1, 30),
    recent=st.integers(1, 4),
    wanted=st.integers(1, 60),
    seed=st.integers(0, 10_000),
)
def test_shares_are_what_counting_tokens_gives(
    layers: int, heads: int, older: int, recent: int, wanted: int, seed: int
) -> None:
    patches, times = memory(layers, heads, older, recent, min(wanted, older * PATCHES), seed)
    frames, shares = kept_shares(patches, times, PATCHES)
    expected = counted(patches, times)

    assert list(frames) == sorted({time for time, _ in expected})
    assert shares.shape == (len(frames), PATCHES) and shares.dtype == np.float32
    kept = {
        (frames[row], column): float(shares[row, column]) for row, column in np.argwhere(shares)
    }
    assert kept == pytest.approx(expected, rel=1e-6)
    assert shares.min() >= 0 and shares.max() <= 1
    assert shares.sum(dtype=np.float64) == pytest.approx(patches.shape[2])
    assert (shares[-recent:] == 1).all()


def test_a_head_of_its_own_frames_is_counted() -> None:
    times = torch.tensor([[[0.5, 0.5, 2.0], [1.0, 2.0, 2.0]]], dtype=torch.float64)
    patches = torch.tensor([[[0, 2, 1], [2, 0, 1]]], dtype=torch.int32)
    frames, shares = kept_shares(patches, times, 3)
    assert frames == (0.5, 1.0, 2.0)
    assert shares.tolist() == [[0.5, 0, 0.5], [0, 0, 0.5], [0.5, 1, 0]]


def test_a_part_of_a_larger_buffer_is_described() -> None:
    patches, times = memory(2, 2, older=5, recent=2, kept=10, seed=1)
    wider = [torch.nn.functional.pad(tensor, (0, 7), value=99) for tensor in (patches, times)]
    views = [tensor[..., : patches.shape[2]] for tensor in wider]
    frames, shares = kept_shares(*views, PATCHES)
    plain_frames, plain_shares = kept_shares(patches, times, PATCHES)
    assert frames == plain_frames
    np.testing.assert_array_equal(shares, plain_shares)


def test_an_empty_memory_has_no_frames() -> None:
    frames, shares = kept_shares(
        torch.zeros(2, 2, 0, dtype=torch.int32), torch.zeros(2, 2, 0, dtype=torch.float64), PATCHES
    )
    assert frames == () and shares.shape == (0, PATCHES)
    assert describe(frames, shares).share_bytes == b""


@given(heads=st.integers(1, 4096))
def test_bytes_tell_kept_from_forgotten(heads: int) -> None:
    counts = np.array([[0, 1, heads // 2, heads]])
    described = describe((3.0,), counts / heads)
    nothing, least, half, all_of_it = described.share_bytes
    assert nothing == 0 and least >= 1 and all_of_it == 255
    assert half == pytest.approx(255 * (heads // 2) / heads, abs=0.51)
    assert described.patches == 4
