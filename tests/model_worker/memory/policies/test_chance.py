"""Chance: every token that was seen is as likely to be there as any other."""

from dataclasses import replace

import pytest
import torch

from model_worker.memory.policies.chance import Random
from tests.model_worker.memory.policies.memories import first, noise


def test_no_part_of_the_stream_is_preferred() -> None:
    tokens = noise(Random(), frames=40, layers=12, heads=8)
    kept = Random().choose(tokens, 6, 66)[..., :60]
    by_tenth = torch.bincount((kept // 24).flatten(), minlength=10)[:9]
    expected = 12 * 8 * 60 * 24 / 234
    assert ((by_tenth - expected).abs() < 0.15 * expected).all(), by_tenth.tolist()


def test_chance_is_a_reservoir() -> None:
    """What goes in an earlier pass would go in a later one, too."""
    policy = Random()
    tokens = noise(policy, frames=40, layers=1, heads=1)
    early = set(policy.choose(first(tokens, 120), 6, 36)[0, 0, :30].tolist())
    late = set(policy.choose(tokens, 6, 36)[0, 0, :30].tolist())
    assert {token for token in late if token < 114} <= early


def test_heads_and_seeds_differ() -> None:
    tokens = noise(Random())
    kept = Random().choose(tokens, 6, 24)
    assert not torch.equal(kept[0, 0], kept[0, 1])
    assert not torch.equal(kept[0, 0], kept[1, 0])
    assert not torch.equal(kept, Random(seed=1).choose(tokens, 6, 24))
    assert torch.equal(kept[1], Random().choose(replace(tokens, first_layer=1), 6, 24)[0])


def test_a_seed_is_a_whole_number() -> None:
    with pytest.raises(ValueError, match="seed must be a whole number"):
        Random(seed=0.5)  # type: ignore[arg-type]
