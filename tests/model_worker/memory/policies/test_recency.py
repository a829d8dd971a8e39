"""The recency window."""

import torch

from model_worker.memory.policies.recency import Recency


def test_keeps_the_newest() -> None:
    keys = torch.randn(2, 3, 10, 4)
    kept = Recency().choose(keys, keys, torch.zeros(2, 3, 10, dtype=torch.int32), 2, 6)
    assert torch.equal(kept, torch.arange(4, 10).expand(2, 3, 6))
