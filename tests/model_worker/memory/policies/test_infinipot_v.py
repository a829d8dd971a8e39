"""`select` against a slow, obvious reference written from the formulas."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from model_worker.memory.policies.infinipot_v import InfiniPotV, select

Shape = tuple[int, int, int, int]


def slow_select(
    keys: Tensor,
    values: Tensor,
    patch_index: Tensor,
    recent_tokens: int,
    budget: int,
    tar_ratio: float,
) -> Tensor:
    """One token at a time, one cosine at a time, in float64."""
    layers, heads, tokens, _ = keys.shape
    rows = []
    for layer in range(layers):
        for head in range(heads):
            k, v = keys[layer, head].double(), values[layer, head].double()
            patch = patch_index[layer, head].tolist()
            older = range(tokens - recent_tokens)
            recent = range(tokens - recent_tokens, tokens)
            novelty = {}
            for i in older:
                same = [j for j in recent if patch[j] == patch[i]]
                cosines = [float(k[i] @ k[j] / (k[i].norm() * k[j].norm())) for j in same]
                novelty[i] = -sum(cosines) / len(cosines) if cosines else 0.0
            kept = set(recent)
            by_value = round((1 - tar_ratio) * budget)
            ranked = sorted(older, key=lambda i: (-novelty[i], i))
            kept |= set(ranked[: budget - by_value - recent_tokens])
            left = sorted(set(older) - kept, key=lambda i: (-float(v[i].norm()), i))
            kept |= set(left[:by_value])
            rows.append(sorted(kept))
    return torch.tensor(rows).view(layers, heads, budget)


def regular(frames: int, patches: int, layers: int = 2, heads: int = 3) -> Tensor:
    return torch.arange(patches).repeat(frames).expand(layers, heads, frames * patches)


def random_memory(seed: int, frames: int, patches: int) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shape = (2, 3, frames * patches, 8)
    keys = torch.randn(shape, generator=generator)
    values = torch.randn(shape, generator=generator)
    return keys, values, regular(frames, patches)


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 2**31),
    frames=st.integers(2, 9),
    patches=st.integers(1, 6),
    tar_ratio=st.sampled_from([0.0, 0.3, 0.5, 0.75, 1.0]),
    data=st.data(),
)
def test_agrees_with_the_reference_on_regular_grids(
    seed: int, frames: int, patches: int, tar_ratio: float, data: st.DataObject
) -> None:
    keys, values, patch_index = random_memory(seed, frames, patches)
    budget = data.draw(st.integers(1, frames * patches))
    room = budget - round((1 - tar_ratio) * budget)
    recent = data.draw(st.integers(0, room))
    kept = select(keys, values, patch_index, recent, budget, tar_ratio)
    expected = slow_select(keys, values, patch_index, recent, budget, tar_ratio)
    assert kept.dtype == torch.int64
    assert torch.equal(kept, expected)


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**31), patches=st.integers(2, 5), passes=st.integers(2, 4))
def test_agrees_with_the_reference_on_survivors_of_earlier_passes(
    seed: int, patches: int, passes: int
) -> None:
    """Each head keeps other tokens, so grids are ragged from the second pass on."""
    keys, values, patch_index = random_memory(seed, 8, patches)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(passes):
        budget, recent = 5 * patches, 2 * patches
        kept = select(keys, values, patch_index, recent, budget)
        assert torch.equal(kept, slow_select(keys, values, patch_index, recent, budget, 0.5))
        wide = kept[..., None].expand(-1, -1, -1, 8)
        fresh = torch.randn(2, 2, 3, 3 * patches, 8, generator=generator)
        keys = torch.cat((keys.gather(2, wide), fresh[0]), dim=2)
        values = torch.cat((values.gather(2, wide), fresh[1]), dim=2)
        patch_index = torch.cat((patch_index.gather(2, kept), regular(3, patches)), dim=2)


def test_takes_more_tokens_than_one_chunk() -> None:
    keys, values, patch_index = random_memory(3, 40, 20)
    kept = select(keys, values, patch_index, 100, 600)
    assert torch.equal(kept, slow_select(keys, values, patch_index, 100, 600, 0.5))


def test_a_patch_that_no_recent_token_shows_scores_as_if_unrelated() -> None:
    """Cosine 0: before what looks like the recent frames, after what is opposite to them."""
    key = torch.tensor([1.0, 0.0])
    keys = torch.stack((key, key, -key, key))[None, None]
    values = torch.zeros_like(keys)
    patches = torch.tensor([[[0, 7, 0, 0]]])  # the same, unseen, the opposite; then the recent
    assert select(keys, values, patches, 1, 3, 1.0).tolist() == [[[1, 2, 3]]]
    assert select(keys, values, patches, 1, 2, 1.0).tolist() == [[[2, 3]]]


def test_a_changed_patch_survives_and_a_static_one_goes() -> None:
    generator = torch.Generator().manual_seed(0)
    background = torch.randn(6, 16, generator=generator)  # one key a patch, the same in each frame
    keys = background.repeat(10, 1)
    event = 3 * 6 + 2  # something passes by in frame 3 at patch 2
    keys[event] = torch.randn(16, generator=generator)
    keys = keys[None, None]
    kept = select(keys, torch.ones_like(keys), regular(10, 6, 1, 1), 12, 14, 1.0)
    assert event in kept[0, 0].tolist()


def test_ties_go_to_the_older_token_every_time() -> None:
    keys = torch.ones(1, 2, 12, 4)
    kept = select(keys, keys, regular(6, 2, 1, 2), 2, 8)
    assert kept.tolist() == [[[0, 1, 2, 3, 4, 5, 10, 11]] * 2]


def test_zero_and_broken_keys_do_not_break_the_count() -> None:
    keys, values, patch_index = random_memory(1, 6, 4)
    keys[0, 0, 3] = 0.0
    keys[0, 1, 5] = math.nan
    values[1, 2, 7] = math.nan
    values[1, 1, 2] = math.inf
    kept = select(keys, values, patch_index, 4, 16)
    assert kept.shape == (2, 3, 16)
    assert (kept.diff(dim=-1) > 0).all()


def test_half_precision_is_scored_in_single() -> None:
    keys, values, patch_index = random_memory(5, 6, 4)
    half = select(keys.bfloat16(), values.bfloat16(), patch_index, 4, 16)
    single = select(keys.bfloat16().float(), values.bfloat16().float(), patch_index, 4, 16)
    assert torch.equal(half, single)


@pytest.mark.parametrize(
    ("recent", "budget", "tar_ratio", "named"),
    [
        (13, 24, 0.5, "recent_tokens"),
        (25, 24, 0.5, "recent_tokens"),
        (-1, 24, 0.5, "recent_tokens"),
        (4, 0, 0.5, "budget"),
        (4, 33, 0.5, "budget"),
        (4, 16, 1.5, "tar_ratio"),
        (4, 16, math.nan, "tar_ratio"),
        (1, 16, 0.0, "tar_ratio"),
    ],
)
def test_infeasible_settings_name_the_number_to_change(
    recent: int, budget: int, tar_ratio: float, named: str
) -> None:
    keys, values, patch_index = random_memory(0, 8, 4)
    with pytest.raises(ValueError, match=named):
        select(keys, values, patch_index, recent, budget, tar_ratio)


def test_shapes_that_disagree_are_refused() -> None:
    keys, values, patch_index = random_memory(0, 8, 4)
    with pytest.raises(ValueError, match="keys and values"):
        select(keys, values[..., :4], patch_index, 4, 16)
    with pytest.raises(ValueError, match="patch_index"):
        select(keys, values, patch_index[..., :-1], 4, 16)


def test_the_policy_keeps_as_many_recent_frames_as_fit() -> None:
    assert InfiniPotV().recent_frames(288, 216, 9) == 4  # an eighth of 32 frames
    assert InfiniPotV(recent_ratio=0.25).recent_frames(288, 216, 9) == 8
    assert InfiniPotV(recent_ratio=0.9).recent_frames(288, 216, 9) == 12  # half the budget
    with pytest.raises(ValueError, match="budget_tokens"):
        InfiniPotV().recent_frames(81, 9, 9)
