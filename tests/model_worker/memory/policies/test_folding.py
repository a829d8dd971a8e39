"""Folding: a mean of keys is one of directions, not of turned ones."""

from dataclasses import replace

import pytest
import torch

from model_worker.engine import Engine
from model_worker.memory.policies.folding import fold, merged
from model_worker.memory.policies.recency import Recency
from model_worker.memory.rotation import turn
from tests.model_worker.memory.policies.memories import noise
from tests.model_worker.watching import Frames, watched


def test_the_mean_of_one_key_at_many_places_is_that_key() -> None:
    tokens = noise(Recency())
    still = torch.randn(8)
    keys = turn(still.expand_as(tokens.keys), tokens.turned())
    tokens = replace(tokens, keys=keys)
    into = torch.full(tokens.patches.shape, 7)
    folded, values = fold(tokens, into, torch.ones(into.shape))
    assert torch.allclose(folded[:, :, 7], keys[:, :, 7], atol=1e-5)
    assert torch.allclose(values[:, :, 7], tokens.values.mean(2), atol=1e-5)
    assert not folded[:, :, 8].any()


def test_weights_count_and_what_is_no_number_does_not() -> None:
    tokens = noise(Recency())
    tokens.values[:, :, 3] = torch.nan
    into = torch.full(tokens.patches.shape, -1)
    into[..., 2:5] = 2
    weights = torch.zeros(into.shape)
    weights[..., 2:5] = torch.tensor([1.0, 5.0, 3.0])
    _, values = fold(tokens, into, weights)
    expected = (tokens.values[:, :, 2] + 3 * tokens.values[:, :, 4]) / 4
    assert torch.allclose(values[:, :, 2], expected, atol=1e-6)


def test_what_is_not_changed_stays_to_the_bit() -> None:
    tokens = noise(Recency())
    kept = torch.arange(0, 48, 2).expand(2, 3, 24)
    changed = torch.zeros(tokens.patches.shape, dtype=torch.bool)
    changed[..., 4] = True
    result = merged(tokens, kept, changed, tokens.keys + 1, tokens.values + 1)
    assert torch.equal(result.keys[:, :, 2], tokens.keys[:, :, 4] + 1)
    others = [place for place in range(24) if place != 2]
    assert torch.equal(result.keys[:, :, others], tokens.keys[:, :, 0::2][:, :, others])


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
