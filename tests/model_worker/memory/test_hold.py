"""A held memory is that of its moment, whatever comes."""

import gc
from collections.abc import Callable

import pytest
import torch

from model_worker.memory.cache import BoundedCache, CacheShape
from model_worker.memory.policies.recency import Recency

SHAPE = CacheShape(layers=4, kv_heads=2, head_dim=4, prefix=3, budget=6, block=4, scratch=5)


def full(tokens: int = 10) -> BoundedCache:
    cache = BoundedCache(SHAPE, torch.float32, torch.device("cpu"), marks=1)
    cache.buffer.normal_()
    cache.marks.normal_()
    each = torch.arange(tokens)
    cache.commit_visual(each % 5, each // 5, each + 3)
    return cache


def appends(cache: BoundedCache) -> None:
    cache.buffer[:, :, :, 3 + 7 :].normal_()
    cache.commit_visual(torch.zeros(2), torch.full((2,), 9.0), torch.zeros(2))


def amends(cache: BoundedCache) -> None:
    """As a policy may when the next frame comes."""
    appends(cache)
    cache.marks[..., 5:7] += 1


def closes(cache: BoundedCache) -> None:
    buffer = cache.buffer
    cache.free()
    buffer.zero_()


@pytest.mark.parametrize(
    "change",
    [
        appends,
        amends,
        lambda cache: cache.compress(Recency(), 2),
        lambda cache: cache.compact(torch.ones(2), 5, 5, 1000),
        closes,
    ],
    ids=["append", "amend", "compress", "compact", "close"],
)
@pytest.mark.parametrize("read", [0, 2, 4])
def test_what_was_held_is_read(change: Callable[[BoundedCache], None], read: int) -> None:
    cache = full(7)
    keys = cache.buffer[:, 0, :, :10].clone()
    values = cache.buffer[:, 1, :, :10].clone()
    patches, times = cache.patches[..., :7].clone(), cache.times[..., :7].clone()
    marks = cache.marks[..., :7].clone()
    held = cache.hold()
    layers = [held.next_layer() for _ in range(read)]
    change(cache)
    layers += [held.next_layer() for _ in range(4 - read)]
    assert torch.equal(torch.stack([layer.keys for layer in layers]), keys)
    assert torch.equal(torch.stack([layer.values for layer in layers]), values)
    assert torch.equal(torch.stack([layer.patches for layer in layers]), patches)
    assert torch.equal(torch.stack([layer.times for layer in layers]), times)
    assert torch.equal(torch.stack([layer.marks for layer in layers], dim=1), marks)


def test_what_nobody_reads_any_more_is_not_copied() -> None:
    cache = full()
    held = cache.hold()
    assert len(cache._holders) == 1
    del held
    gc.collect()
    assert not cache._holders
