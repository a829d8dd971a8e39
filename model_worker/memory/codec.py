"""Keys or values of one layer as bytes, and back.

"exact" is the numbers as they stand in memory. The others round visual tokens to whole multiples of
a scale; as Liu et al. 2024 (KIVI, arXiv 2402.02750) found best, keys have one a channel and values
one a token. The prefix, where attention sinks, stays exact. "8-bit" keeps 8 bits of each. "entropy"
keeps fewer, and does what Liu et al. 2024 (CacheGen, arXiv 2310.07240, section 5) do: tokens are
written as differences from their neighbour, here the one before of the same patch, deeper layers
are rounded more coarsely, and differences go through an entropy coder (zlib's, Huffman's).
"""

import zlib
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import torch
from torch import Tensor

from model_worker.memory.container import SnapshotError, inflate

DtypeName = Literal["float32", "bfloat16", "float16"]

DEPTHS: Final = (7, 6, 5)
"""Bits of "entropy" in the first, second and last third of the layers."""

DTYPES: Final[dict[DtypeName, torch.dtype]] = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}
"""What a memory may be of."""


@dataclass(frozen=True)
class Block:
    """Which numbers: `[kv_heads, prefix + tokens, head_dim]` of keys or of values."""

    kv_heads: int
    prefix: int
    tokens: int
    head_dim: int
    dtype: torch.dtype
    keys: bool

    @property
    def numbers(self) -> int:
        """How many of visual tokens."""
        return self.kv_heads * self.tokens * self.head_dim

    @property
    def scales(self) -> int:
        if self.tokens == 0:
            return 0
        return self.kv_heads * (self.head_dim if self.keys else self.tokens)

    @property
    def prefix_bytes(self) -> int:
        return self.kv_heads * self.prefix * self.head_dim * self.dtype.itemsize


def sizes(block: Block, option: str) -> tuple[int, int]:
    """The least and the most bytes that `encode` makes of a block."""
    exact = block.prefix_bytes
    if option == "exact":
        exact += block.numbers * block.dtype.itemsize
        return exact, exact
    exact += 4 * block.scales
    if option == "8-bit":
        return exact + block.numbers, exact + block.numbers
    return exact, exact + block.numbers + block.numbers // 1000 + 64


def encode(numbers: Tensor, block: Block, option: str, bits: int, patches: Tensor) -> list[bytes]:
    """`numbers` `[kv_heads, prefix + tokens, head_dim]` as bytes, in parts.

    `bits` are those of "entropy"; `patches`, int `[kv_heads, tokens]`, are the patch indices.
    """
    if option == "exact":
        return [_raw(numbers)]
    prefix, visual = numbers[:, : block.prefix], numbers[:, block.prefix :].float()
    if block.tokens == 0:
        return [_raw(prefix)]
    most = 127 if option == "8-bit" else (1 << (bits - 1)) - 1
    scales = visual.abs().amax(dim=1 if block.keys else 2, keepdim=True) / most
    rounded = (visual / scales.where(scales > 0, 1.0)).round_().clamp_(-most, most)
    codes = rounded.to(torch.int8)
    if option == "8-bit":
        return [_raw(prefix), _raw(scales), _raw(codes)]
    order = patches.argsort(dim=1, stable=True)
    ordered = codes.gather(1, order[..., None].expand_as(codes)).numpy().view(np.uint8)
    steps = np.diff(ordered, axis=1, prepend=np.uint8(0))
    deflater = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS, 9, zlib.Z_HUFFMAN_ONLY)
    return [_raw(prefix), _raw(scales), deflater.compress(steps.tobytes()) + deflater.flush()]


def decode(data: bytearray, block: Block, option: str, patches: Tensor) -> Tensor:
    """The numbers, of the block's dtype where "exact", else float32, but for the prefix as near as
    they were kept. `data` has one of the block's `sizes`. Raises SnapshotError for what cannot be.
    """
    heads, dim = block.kv_heads, block.head_dim
    if option == "exact":
        numbers = _tensor(data, block.dtype).view(heads, block.prefix + block.tokens, dim)
        return finite(numbers)
    view = memoryview(data)
    prefix = _tensor(view[: block.prefix_bytes], block.dtype).view(heads, block.prefix, dim)
    if block.tokens == 0:
        return finite(prefix)
    scales_end = block.prefix_bytes + 4 * block.scales
    scales = _tensor(view[block.prefix_bytes : scales_end], torch.float32)
    rest: bytes | memoryview = view[scales_end:]
    if option == "entropy":
        rest = inflate(rest, block.numbers)
        if len(rest) < block.numbers:
            raise SnapshotError("it has fewer keys and values than tokens")
    codes = _tensor(rest, torch.int8).view(heads, block.tokens, dim)
    if option == "entropy":
        ordered = np.cumsum(codes.numpy().view(np.uint8), axis=1, dtype=np.uint8).view(np.int8)
        order = patches.argsort(dim=1, stable=True)[..., None].expand(heads, block.tokens, dim)
        codes = torch.empty_like(codes).scatter_(1, order, torch.from_numpy(ordered))
    scales = scales.view(heads, 1, dim) if block.keys else scales.view(heads, -1, 1)
    visual = codes.float().mul_(scales)
    return finite(torch.cat((prefix.float(), visual), dim=1))


def bits_of(layer: int, layers: int) -> int:
    """Bits of "entropy" in a layer."""
    return DEPTHS[layer * len(DEPTHS) // layers]


def dtype_name(dtype: torch.dtype) -> DtypeName:
    """As DTYPES has it."""
    return next(name for name, known in DTYPES.items() if known == dtype)


def _raw(tensor: Tensor) -> bytes:
    return tensor.contiguous().view(torch.uint8).numpy().tobytes()


def _tensor(data: bytes | bytearray | memoryview, dtype: torch.dtype) -> Tensor:
    if len(data) == 0:
        return torch.empty(0, dtype=dtype)
    writable = data if isinstance(data, bytearray) else bytearray(data)
    return torch.frombuffer(writable, dtype=dtype)


def floats(data: bytearray) -> Tensor:
    """Little-endian float32 as a tensor of one axis."""
    return _tensor(data, torch.float32)


def finite(numbers: Tensor) -> Tensor:
    """The numbers. Raises SnapshotError where one is NaN or infinite."""
    if numbers.numel() and not all(end.isfinite() for end in numbers.aminmax()):
        raise SnapshotError("its keys and values hold NaN or infinity")
    return numbers
