"""The recency window."""

import torch

from model_worker.memory.policies.recency import Recency
from tests.model_worker.memory.policies.memories import tokens_of


def test_keeps_the_newest() -> None:
    keys = torch.randn(2, 3, 10, 4)
    tokens = tokens_of(keys, keys, torch.zeros(2, 3, 10, dtype=torch.int32))
    kept = Recency().choose(tokens, 2, 6)
    assert torch.equal(kept, torch.arange(4, 10).expand(2, 3, 6))
