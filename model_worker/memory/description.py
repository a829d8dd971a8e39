"""What a memory holds, token by token, small enough to be sent once a second."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from model_worker.memory.cache import BoundedCache


@dataclass(frozen=True, eq=False)
class MemoryDescription:
    """Which patches of which frames are kept, and when the memory changes next.

    `frames` are the times, in seconds, of every frame (of families that join two: of every pair)
    that has a kept token; `shares` is float32 `[frames, patches]`, see `kept_shares`. The first
    `rows * columns` patches are the picture's, row by row; those behind are text around it.
    Lengths are tokens per layer and KV head; `span` is seconds.
    """

    frames: tuple[float, ...]
    shares: NDArray[np.float32]
    rows: int
    columns: int
    tokens: int
    budget_tokens: int
    cap_tokens: int
    kv_bytes: int
    bytes_per_token: int
    span: tuple[float, float] | None
    next_compression_tokens: int  # that can still come before the next pass
    next_compaction_positions: int | None  # left before positions are compacted; None: never
    compressions: int
    position_compactions: int

    def __post_init__(self) -> None:
        assert self.shares.shape[0] == len(self.frames)
        assert self.shares.shape[1] >= self.rows * self.columns

    @property
    def patches(self) -> int:
        """Patch indices that a frame has, its text among them."""
        return int(self.shares.shape[1])

    @property
    def share_bytes(self) -> bytes:
        """`shares` row by row, one byte each: 255 is 1, and only what is not kept is 0."""
        rounded = np.rint(self.shares * np.float32(255))
        return bytes(np.maximum(rounded, self.shares > 0).astype(np.uint8))


def describe(
    cache: BoundedCache,
    grid: tuple[int, int, int] | None,
    span: tuple[float, float] | None,
    compaction_positions: int | None,
) -> MemoryDescription:
    """What `cache` holds of frames of a grid of rows, columns and patch indices, None before the
    first frame."""
    rows, columns, patch_count = grid or (0, 0, 0)
    kept = slice(0, cache.visual_length)
    frames, shares = kept_shares(cache.patches[..., kept], cache.times[..., kept], patch_count)
    return MemoryDescription(
        frames=frames,
        shares=shares,
        rows=rows,
        columns=columns,
        tokens=cache.visual_length,
        budget_tokens=cache.shape.budget,
        cap_tokens=cache.shape.cap,
        kv_bytes=cache.kv_bytes,
        bytes_per_token=cache.kv_bytes // cache.shape.capacity,
        span=span,
        next_compression_tokens=cache.visual_room,
        next_compaction_positions=compaction_positions,
        compressions=cache.compressions,
        position_compactions=cache.compactions,
    )


def kept_shares(
    patches: Tensor, times: Tensor, patch_count: int
) -> tuple[tuple[float, ...], NDArray[np.float32]]:
    """In how many of all layers and KV heads each patch of each frame is kept.

    `patches`, int `[layers, kv_heads, tokens]`, are patch indices below `patch_count` and
    `times`, float64 of the same shape, the seconds of their frames, ascending along the tokens.
    Returns the times of the frames that have a kept token, rising, and float32
    `[frames, patch_count]` from 0 to 1; its sum is `tokens`.
    """
    assert patches.shape == times.shape
    heads = patches.shape[0] * patches.shape[1]
    # On the host whatever the device: a few megabytes, and counting is not arithmetic.
    seconds = times.reshape(-1).cpu().numpy()
    indices = patches.reshape(-1).cpu().numpy()
    assert indices.size == 0 or 0 <= indices.min() <= indices.max() < patch_count
    # Tokens of a frame stand together, so one token of each run is enough to order the frames.
    begins = np.concatenate(([0], np.flatnonzero(seconds[1:] != seconds[:-1]) + 1))[: seconds.size]
    frames, ranks = np.unique(seconds[begins], return_inverse=True)
    lengths = np.diff(begins, append=len(seconds))
    cells = np.repeat(ranks * patch_count, lengths) + indices
    counts = np.bincount(cells, minlength=len(frames) * patch_count)
    shares = counts.reshape(len(frames), patch_count).astype(np.float32) / np.float32(heads)
    return tuple(frames.tolist()), shares
