"""Every policy keeps what the base promises, on the same tiny memory."""

import pytest
import torch

from model_worker.memory.policies import POLICIES, make_policy
from tests.model_worker.memory.policies.memories import noise


@pytest.mark.parametrize("name", sorted(POLICIES))
def test_keeps_the_budget_in_order_with_all_recent_tokens(name: str) -> None:
    policy = make_policy(name)
    kept = policy.choose(noise(policy), 12, 36)
    assert kept.shape == (2, 3, 36)
    assert kept.dtype == torch.int64
    assert (kept.diff(dim=-1) > 0).all()
    assert torch.equal(kept[..., -12:], torch.arange(36, 48).expand(2, 3, 12))


@pytest.mark.parametrize("name", sorted(POLICIES))
def test_a_budget_without_room_for_one_frame_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="raise budget_tokens"):
        make_policy(name).recent_frames(cap_tokens=60, budget=5, tokens_per_frame=6)


def test_an_unknown_policy_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match="infinipot_v, recency"):
        make_policy("newest")
