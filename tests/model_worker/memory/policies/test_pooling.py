"""Smoothed value norms."""

import torch

from model_worker.memory.policies.pooling import InfiniPotVPooled, smoothed
from tests.model_worker.memory.policies.memories import noise


def test_the_flattest_layer_is_smoothed_most_and_the_roughest_not_at_all() -> None:
    norms = torch.ones(4, 1, 1, 9, 9)
    norms[:, 0, 0, 4, 4] += torch.tensor([1.0, 30.0, 3.0, 10.0])
    pooled = smoothed(norms)
    spread_over = (pooled[:, 0, 0] > 1.001).flatten(1).sum(1).tolist()
    assert spread_over == [49, 1, 25, 9]
    corner = smoothed(torch.ones(4, 2, 3, 5, 5))
    assert torch.allclose(corner, torch.ones(4, 2, 3, 5, 5)), "edges are means of what is there"


def test_each_frame_is_smoothed_by_itself() -> None:
    norms = torch.rand(4, 2, 3, 6, 6)
    assert torch.equal(smoothed(norms)[:, :, 1:2], smoothed(norms[:, :, 1:2]))


def test_marks_decide_and_not_the_values_of_survivors() -> None:
    policy = InfiniPotVPooled()
    tokens = noise(policy, rows=2, columns=3)
    tokens.marks[0, ..., 10:13] = 100.0
    tokens.values[:, :, 20:26] *= 100.0
    kept = policy.choose(tokens, 6, 12)
    assert torch.isin(torch.tensor([10, 11, 12]), kept[1, 2]).all()
    assert torch.isin(kept[1, 2], torch.arange(20, 26)).sum() < 6
