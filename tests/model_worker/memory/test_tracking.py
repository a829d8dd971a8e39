"""Where and when tokens were seen survives to the bit."""

import struct
import zlib

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from model_worker.memory import tracking
from model_worker.memory.container import SnapshotError

PATCHES = 9


def tracked(heads: int, tokens: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """As a policy leaves them: other tokens in every head, in the order of their times."""
    random = np.random.default_rng(seed)
    times = np.sort(random.integers(0, 30, (heads, tokens)) * 1.1 - 3, axis=1)
    patches = random.integers(0, PATCHES, (heads, tokens))
    positions = random.integers(0, 2**31 - 1, (heads, tokens))
    return (
        torch.from_numpy(patches).int(),
        torch.from_numpy(times),
        torch.from_numpy(positions).int(),
    )


@given(st.integers(1, 4), st.integers(0, 40), st.integers(0, 99))
def test_nothing_is_lost(heads: int, tokens: int, seed: int) -> None:
    before = tracked(heads, tokens, seed)
    data = tracking.pack(*before)
    assert len(data) <= tracking.most_bytes(heads, tokens)
    after = tracking.unpack(data, heads, tokens, PATCHES)
    for ours, found in zip(before, after, strict=True):
        assert torch.equal(ours, found)
        assert ours.dtype == found.dtype


def test_whole_frames_take_next_to_nothing() -> None:
    patches = torch.arange(140).repeat(30).expand(4, -1).int()
    times = torch.arange(30).double().repeat_interleave(140).expand(4, -1)
    data = tracking.pack(patches, times, torch.arange(4200).expand(4, -1).int())
    assert len(data) < 4 * 4200 * 16 / 100


def forged(frames: list[float], numbers: list[int], patches: list[int], places: list[int]) -> bytes:
    """As `pack`, of one head, unchecked."""
    columns = np.array([numbers, patches, places], "<i4").reshape(3, 1, -1)
    steps = np.diff(columns, axis=2, prepend=0).astype("<i4")
    planes = np.ascontiguousarray(steps).view(np.uint8).reshape(-1, 4).T
    return zlib.compress(
        struct.pack(f"<I{len(frames)}d", len(frames), *frames)
        + np.ascontiguousarray(planes).tobytes()
    )


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (forged([1.0, 1.0], [0, 1], [0, 1], [0, 1]), "do not rise"),
        (forged([1.0, float("inf")], [0, 1], [0, 1], [0, 1]), "do not rise"),
        (forged([1.0, 2.0], [1, 0], [0, 1], [0, 1]), "order of their frames"),
        (forged([1.0, 2.0], [0, 2], [0, 1], [0, 1]), "order of their frames"),
        (forged([1.0, 2.0], [0, 1], [0, PATCHES], [0, 1]), "a frame of 9 has not"),
        (forged([1.0, 2.0], [0, 1], [-1, 0], [0, 1]), "a frame of 9 has not"),
        (forged([1.0, 2.0], [0, 1], [0, 1], [0, -1]), "below 0"),
        (forged([1.0], [0], [0], [0]), "wrong length"),
        (zlib.compress(b"\xff\xff"), "wrong length"),
        (zlib.compress(b"\xff\xff\xff\xff" + bytes(24)), "wrong length"),
        (zlib.compress(bytes(10**6)), "wrong length"),
        (b"none", "cannot be unpacked"),
    ],
)
def test_what_cannot_be_is_refused(data: bytes, why: str) -> None:
    assert tracking.unpack(forged([1.0], [0, 0], [3, 4], [5, 6]), 1, 2, PATCHES)
    with pytest.raises(SnapshotError, match=why):
        tracking.unpack(data, 1, 2, PATCHES)
