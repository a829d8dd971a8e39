"""Keys and values come back exactly, or as near as was asked for."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from model_worker.memory import codec
from model_worker.memory.codec import Block
from model_worker.memory.container import SnapshotError

DTYPES = list(codec.DTYPES.values())


def numbers(block: Block, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Keys or values whose channels differ in size as keys' do, and patches."""
    generator = torch.Generator().manual_seed(seed)
    shape = block.kv_heads, block.prefix + block.tokens, block.head_dim
    drawn = torch.randn(shape, generator=generator)
    drawn *= torch.logspace(-2, 2, block.head_dim)
    patches = torch.randint(0, 5, (block.kv_heads, block.tokens), generator=generator)
    return drawn.to(block.dtype), patches.int()


def there_and_back(block: Block, option: str, seed: int = 0) -> tuple[Tensor, Tensor, int]:
    before, patches = numbers(block, seed)
    data = bytearray(b"".join(codec.encode(before, block, option, 6, patches)))
    least, most = codec.sizes(block, option)
    assert least <= len(data) <= most
    return before, codec.decode(data, block, option, patches), len(data)


BLOCKS = st.builds(
    Block,
    kv_heads=st.integers(1, 3),
    prefix=st.integers(0, 5),
    tokens=st.integers(0, 20),
    head_dim=st.sampled_from([2, 8]),
    dtype=st.sampled_from(DTYPES),
    keys=st.booleans(),
)


@given(BLOCKS)
def test_exact_is_exact(block: Block) -> None:
    before, after, _ = there_and_back(block, "exact")
    assert after.dtype == block.dtype
    assert torch.equal(before, after)


@given(BLOCKS, st.sampled_from(["8-bit", "entropy"]))
def test_rounding_stays_within_half_a_step(block: Block, option: str) -> None:
    """A step is a share of the largest of a key's channel or of a value's token."""
    before, after, _ = there_and_back(block, option)
    assert torch.equal(before[:, : block.prefix].float(), after[:, : block.prefix].float())
    visual, rounded = before[:, block.prefix :].float(), after[:, block.prefix :].float()
    if block.tokens:
        step = visual.abs().amax(1 if block.keys else 2, keepdim=True)
        step /= 127 if option == "8-bit" else 31
        assert ((visual - rounded).abs() <= 0.5001 * step).all()


def test_zeros_stay_zeros() -> None:
    block = Block(2, 1, 6, 4, torch.float32, True)
    zeros, patches = torch.zeros(2, 7, 4), torch.zeros(2, 6, dtype=torch.int32)
    for option in ("8-bit", "entropy"):
        data = bytearray(b"".join(codec.encode(zeros, block, option, 6, patches)))
        assert torch.equal(codec.decode(data, block, option, patches), zeros)


def test_what_hardly_changes_takes_little() -> None:
    """Patches that look the same from frame to frame, of several in turn."""
    block = Block(2, 0, 640, 32, torch.float32, False)
    still = torch.randn(2, 10, 32).repeat(1, 64, 1)
    patches = torch.arange(10).repeat(64).expand(2, -1).int()
    data = codec.encode(still + 0.01 * torch.randn(2, 640, 32), block, "entropy", 6, patches)
    assert len(data[-1]) < block.numbers / 4


@pytest.mark.parametrize("option", ["exact", "8-bit", "entropy"])
def test_numbers_that_are_none_are_refused(option: str) -> None:
    block = Block(1, 1, 4, 2, torch.float32, True)
    before, patches = numbers(block)
    before[0, 0, 0] = torch.nan
    data = bytearray(b"".join(codec.encode(before, block, option, 6, patches)))
    with pytest.raises(SnapshotError, match="NaN"):
        codec.decode(data, block, option, patches)


def test_deeper_layers_are_rounded_no_finer() -> None:
    depths = [codec.bits_of(layer, 28) for layer in range(28)]
    assert depths == sorted(depths, reverse=True)
    assert {depths[0], depths[-1]} <= set(codec.DEPTHS)
    assert codec.bits_of(0, 1) == codec.DEPTHS[0]
