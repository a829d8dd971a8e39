"""What memory does not hold yet stays."""

import pytest
import torch

from model_worker.memory.policies.novelty import Novelty
from model_worker.memory.policies.tokens import VisualTokens
from tests.model_worker.memory.policies.memories import layout_of, mark, tokens_of

PATCHES, DIM = 4, 8


def stream(scenes: list[int], seed: int = 0) -> VisualTokens:
    """One layer and head; a frame for each number, and the same number is the same scene."""
    generator = torch.Generator().manual_seed(seed)
    known = torch.randn(max(scenes) + 1, PATCHES, DIM, generator=generator)
    keys = torch.cat([known[scene] for scene in scenes])
    keys = keys + 0.01 * torch.randn(keys.shape, generator=generator)
    patches = torch.arange(PATCHES).repeat(len(scenes))[None, None]
    layout = layout_of(2, 2, DIM)
    tokens = tokens_of(keys[None, None], keys[None, None], patches, marks=1, layout=layout)
    # As a model would: turned to where they stand.
    angles = tokens.positions[..., None] * layout.frequencies
    first, second = tokens.keys.clone().chunk(2, -1)
    tokens.keys[..., : DIM // 2] = first * angles.cos() - second * angles.sin()
    tokens.keys[..., DIM // 2 :] = second * angles.cos() + first * angles.sin()
    mark(Novelty(), tokens, PATCHES)
    return tokens


def kept_frames(tokens: VisualTokens, budget: int) -> list[int]:
    kept = Novelty().choose(tokens, PATCHES, budget)[0, 0]
    return (kept // PATCHES).tolist()


def test_keeps_the_first_moment_of_each_scene_however_long_it_lasts() -> None:
    tokens = stream([0, 0, 0, 1, 2, 2, 2, 2, 2, 3, 3])
    assert kept_frames(tokens, 5 * PATCHES) == [
        number for number in (0, 3, 4, 9, 10) for _ in range(PATCHES)
    ]


def test_what_comes_back_soon_is_not_new() -> None:
    tokens = stream([0, 1, 0, 1, 0, 2, 2])
    assert set(kept_frames(tokens, 4 * PATCHES)) == {0, 1, 5, 6}


def test_what_comes_back_after_the_horizon_is_new() -> None:
    tokens = stream([0, 1, 1, 1, 1, 0, 2, 2])
    policy = Novelty(horizon=4.0, fading=0.0)
    mark(policy, tokens, PATCHES)
    kept = policy.choose(tokens, PATCHES, 5 * PATCHES)[0, 0] // PATCHES
    assert set(kept.tolist()) == {0, 1, 5, 6, 7}


def test_of_tokens_that_were_as_new_the_oldest_go_first() -> None:
    tokens = stream([0, 1, 2, 3, 4, 5])
    tokens.marks.fill_(1.0)
    assert set(kept_frames(tokens, 3 * PATCHES)) == {3, 4, 5}


def test_a_small_change_of_today_does_not_displace_a_large_one_of_long_ago() -> None:
    tokens = stream([0, 1, 2, 3, 4, 5])
    tokens.marks.fill_(1.0)
    tokens.marks[..., :PATCHES] = 2.0
    assert set(kept_frames(tokens, 3 * PATCHES)) == {0, 4, 5}


def test_a_patch_that_changes_alone_stays_before_those_around_it() -> None:
    tokens = stream([0, 0, 0, 0, 0])
    fresh = torch.randn(DIM, generator=torch.Generator().manual_seed(9))
    tokens.keys[0, 0, 2 * PATCHES + 1] = fresh
    mark(Novelty(), tokens, PATCHES)
    kept = Novelty().choose(tokens, PATCHES, 2 * PATCHES + 1)[0, 0].tolist()
    assert kept == [*range(PATCHES), 2 * PATCHES + 1, *range(4 * PATCHES, 5 * PATCHES)]


def test_is_the_distance_to_the_nearest_key_of_earlier_frames_as_its_formula_says() -> None:
    tokens = stream([0, 1, 0, 2, 1, 3], seed=4)
    keys = tokens.still()[0, 0].double()
    keys = keys / keys.norm(dim=-1, keepdim=True)
    for at in range(len(keys)):
        start = at // PATCHES * PATCHES
        nearest = max([0.0, *(float(keys[at] @ held) for held in keys[:start])])
        mean = keys[start : start + PATCHES].mean(0)
        own = float(keys[at] @ mean / mean.norm())
        expected = (1 - nearest) * (3.0 + 1 - own)
        assert tokens.marks[0, 0, 0, at] == pytest.approx(expected, abs=1e-4)


def test_a_share_that_cannot_be_is_refused() -> None:
    for setting in ("evenness", "horizon", "fading"):
        for bad in (-1.0, float("nan"), float("inf")):
            with pytest.raises(ValueError, match=f"{setting} must be a number from 0"):
                Novelty(**{setting: bad})
