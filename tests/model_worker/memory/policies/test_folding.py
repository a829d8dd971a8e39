"""Folding: a mean of keys is one of directions, not of turned ones."""

from dataclasses import replace

import pytest
import torch

from model_worker.engine import Engine
from model_worker.memory.policies.folding import fold
from model_worker.memory.policies.recency import Recency
from model_worker.memory.rotation import turn
from tests.model_worker.memory.policies.memories import noise
from tests.model_worker.watching import Frames, watched

ALL = torch.arange(48).expand(2, 3, 48)


def test_the_mean_of_one_key_at_many_places_is_that_key() -> None:
    tokens = noise(Recency())
    still = torch.randn(8)
    keys = turn(still.expand_as(tokens.keys), tokens.turned())
    tokens = replace(tokens, keys=keys)
    kept = torch.arange(7, 48).expand(2, 3, 41)
    folded = fold(tokens, kept, torch.full((2, 3, 48), 7), torch.ones(2, 3, 48))
    layer, head, slot = folded.at
    assert layer.tolist() == [0, 0, 0, 1, 1, 1]
    assert head.tolist() == [0, 1, 2] * 2
    assert not slot.any(), "token 7 is the first of those kept"
    assert torch.allclose(folded.keys, keys[:, :, 7].flatten(0, 1), atol=1e-5)
    assert torch.allclose(folded.values, tokens.values.mean(2).flatten(0, 1), atol=1e-5)


def test_weights_count_and_what_is_no_number_does_not() -> None:
    tokens = noise(Recency())
    tokens.values[:, :, 3] = torch.nan
    into = torch.full((2, 3, 48), -1)
    into[..., 2:5] = 2
    weights = torch.zeros(2, 3, 48)
    weights[..., 2:5] = torch.tensor([1.0, 5.0, 3.0])
    folded = fold(tokens, ALL, into, weights)
    expected = (tokens.values[:, :, 2] + 3 * tokens.values[:, :, 4]) / 4
    assert torch.allclose(folded.values, expected.flatten(0, 1), atol=1e-6)
    assert (folded.at[2] == 2).all()


def test_where_nothing_counts_nothing_changes() -> None:
    tokens = noise(Recency())
    tokens.keys.fill_(torch.nan)
    assert len(fold(tokens, ALL, ALL, torch.ones(2, 3, 48)).keys) == 0
    none = torch.full((2, 3, 48), -1)
    assert len(fold(noise(Recency()), ALL, none, torch.ones(2, 3, 48)).keys) == 0


@pytest.mark.usefixtures("small_units")
@pytest.mark.parametrize("family", ["llava_onevision", "qwen2_vl", "qwen2_5_vl", "qwen3_vl"])
def test_turned_back_the_same_picture_has_the_same_keys(
    family: str, engines: dict[str, Engine], frames: Frames
) -> None:
    """In the first layer, where keys depend on nothing but the picture and the place."""
    engine = engines[family]
    session = watched(engine, frames[:1] * 8, budget=300, policy="uniform")
    cache = session.cache
    tokens = cache._tokens(slice(0, 1), cache._unattended, session._compressor._laid(session._grid))
    still, patches, frame = tokens.still()[0, 0], tokens.patches[0, 0], tokens.frames()[0, 0]
    pictured = patches < tokens.known_layout.pictured
    first, last = still[pictured & (frame == 0)], still[pictured & (frame == frame.max())]
    assert torch.allclose(first, last, atol=1e-4)
    turned = tokens.keys[0, 0]
    assert not torch.allclose(
        turned[pictured & (frame == 0)], turned[pictured & (frame == frame.max())], atol=1e-2
    )
