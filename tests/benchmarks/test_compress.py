"""The compression benchmark works at a small size, and its three passes do the same."""

import torch

from benchmarks import BENCHMARKS, compress
from model_worker.memory.cache import BoundedCache, CacheShape
from model_worker.memory.policies.infinipot_v import InfiniPotV


def test_reports_its_ratios() -> None:
    figures = BENCHMARKS["compress"](layers=2, kv_heads=2, head_dim=16, repeats=2)
    assert figures["speedup_over_reference"] > 0
    assert figures["times_plain_copy"] > 0
    assert figures["shape"]["tokens_per_frame"] == 140


def test_the_straightforward_pass_keeps_the_same_tokens() -> None:
    shape = CacheShape(3, 2, 16, prefix=4, budget=60, block=20, scratch=4)
    cache = BoundedCache(shape, torch.float32, torch.device("cpu"))
    compress._fill(cache, 8, 10)
    expected = compress._straightforward(cache, 20, 10)
    cache.compress(InfiniPotV(), 20)
    for layer, (keys, values) in enumerate(expected):
        assert torch.equal(cache.visual_keys[layer], keys)
        assert torch.equal(cache.visual_values[layer], values)
