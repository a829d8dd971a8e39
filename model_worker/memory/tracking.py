"""Where and when each kept token of a layer was seen, as bytes: nothing is lost.

Frames are numbered by their times; then numbers of frames, patches and positions are written as
differences from one token to the next, byte by byte of the same weight together, through zlib. Of
a frame that is kept whole little remains.
"""

import struct
import zlib
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model_worker.memory.container import SnapshotError, inflate

_FRAMES: Final = struct.Struct("<I")
_COLUMNS: Final = 3
_LEVEL: Final = 6


def pack(patches: Tensor, times: Tensor, positions: Tensor) -> bytes:
    """Int32, float64 and int32 `[kv_heads, tokens]`, times ascending, as bytes."""
    frames, numbers = np.unique(times.numpy(), return_inverse=True)
    columns = np.stack(
        (
            numbers.reshape(times.shape).astype("<i4"),
            patches.numpy().astype("<i4"),
            positions.numpy().astype("<i4"),
        )
    )
    steps = np.diff(columns, axis=2, prepend=np.zeros((*columns.shape[:2], 1), "<i4"))
    planes = np.ascontiguousarray(steps).view(np.uint8).reshape(-1, 4).T
    raw = _FRAMES.pack(len(frames)) + frames.astype("<f8").tobytes() + planes.tobytes()
    return zlib.compress(raw, _LEVEL)


def most_bytes(kv_heads: int, tokens: int) -> int:
    """What `pack` makes at most."""
    raw = _most_raw(kv_heads, tokens)
    return raw + raw // 1000 + 64


def unpack(
    data: bytes | bytearray, kv_heads: int, tokens: int, patch_count: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Patches, times and positions as `pack` took them. Raises SnapshotError for what it cannot
    have made of patch indices below `patch_count`."""
    raw = inflate(data, _most_raw(kv_heads, tokens))
    size = _COLUMNS * kv_heads * tokens * 4
    count = _FRAMES.unpack_from(raw)[0] if len(raw) >= _FRAMES.size else 0
    at = _FRAMES.size + 8 * count
    if len(raw) != at + size:
        raise SnapshotError("the places of its tokens have the wrong length")
    frames = np.frombuffer(raw, "<f8", count, _FRAMES.size)
    planes = np.frombuffer(raw, np.uint8, size, at).reshape(4, -1)
    steps = np.ascontiguousarray(planes.T).view("<i4").reshape(_COLUMNS, kv_heads, tokens)
    columns = np.cumsum(steps, axis=2, dtype=np.int32)
    numbers, patches, positions = columns
    _check(numbers, patches, positions, frames, patch_count)
    return (
        torch.from_numpy(patches),
        torch.from_numpy(frames[numbers].astype(np.float64)),
        torch.from_numpy(positions),
    )


def _check(
    numbers: NDArray[np.int32],
    patches: NDArray[np.int32],
    positions: NDArray[np.int32],
    frames: NDArray[np.float64],
    patch_count: int,
) -> None:
    if not (np.isfinite(frames).all() and (np.diff(frames) > 0).all()):
        raise SnapshotError("the times of its frames do not rise")
    if numbers.size == 0:
        return
    if numbers.min() < 0 or numbers.max() >= len(frames) or (np.diff(numbers, axis=1) < 0).any():
        raise SnapshotError("its tokens do not stand in the order of their frames")
    if patches.min() < 0 or patches.max() >= patch_count:
        raise SnapshotError(f"its tokens are of patches that a frame of {patch_count} has not")
    if positions.min() < 0:
        raise SnapshotError("its tokens stand at positions below 0")


def _most_raw(kv_heads: int, tokens: int) -> int:
    return _FRAMES.size + kv_heads * tokens * (8 + 4 * _COLUMNS)
