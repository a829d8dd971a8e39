"""Values alone: the largest stay, or the smallest."""

import torch

from model_worker.memory.policies.van import ReversedVaN, VaN
from tests.model_worker.memory.policies.memories import noise


def test_the_largest_values_stay_or_the_smallest() -> None:
    tokens = noise(VaN())
    tokens.values[:, :, 10:16] *= 100.0
    tokens.values[:, :, 20:26] *= 0.01
    recent = list(range(42, 48))
    assert VaN().choose(tokens, 6, 12)[1, 2].tolist() == [*range(10, 16), *recent]
    assert ReversedVaN().choose(tokens, 6, 12)[1, 2].tolist() == [*range(20, 26), *recent]


def test_a_broken_value_goes_first_either_way() -> None:
    tokens = noise(VaN())
    tokens.values[:, :, 3, 1] = torch.nan
    tokens.values[:, :, 5] = torch.inf
    for policy in (VaN(), ReversedVaN()):
        kept = policy.choose(tokens, 6, 46)
        assert not (kept == 3).any()
        assert not (kept == 5).any()
