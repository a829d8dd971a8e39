"""Unusual keys stay."""

import torch

from model_worker.memory.policies.keydiff import KeyDiff
from tests.model_worker.memory.policies.memories import noise


def test_keys_unlike_the_mean_stay_whatever_their_length() -> None:
    tokens = noise(KeyDiff())
    tokens.keys.mul_(0.05).add_(1.0)
    tokens.keys[:, :, 10:16, ::2] *= -1.0
    tokens.keys[:, :, 20:26] *= 50.0
    kept = KeyDiff().choose(tokens, 6, 12)
    assert kept[1, 2].tolist() == [*range(10, 16), *range(42, 48)]


def test_a_broken_key_goes_first() -> None:
    tokens = noise(KeyDiff())
    tokens.keys[:, :, 4, 0] = torch.nan
    assert not (KeyDiff().choose(tokens, 6, 47) == 4).any()
