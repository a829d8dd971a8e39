"""Evictions: what is gone, for whom, and what never goes."""

import torch

from training.decoder import PREFIX, Stage1
from training.forgetting import RECENT, forget, lifetimes


def test_the_newest_frames_the_prefix_and_the_question_are_never_forgotten() -> None:
    torch.manual_seed(0)
    frames, questions, length = 20, 2, 3
    _, mask = Stage1.layout(frames, questions, length, 1.0)
    ends = lifetimes(torch.full((4, frames), 4), keep=0.0)
    left = forget(mask, ends, PREFIX, frames)
    assert left.shape == (4, 1, *mask.shape[2:])
    assert not (left & ~mask).any()
    seen = PREFIX + 9 * frames
    recent = slice(seen - 9 * RECENT, seen)
    assert left[:, :, seen:, recent].all()
    assert torch.equal(left[..., :PREFIX], mask[..., :PREFIX].expand(4, 1, -1, -1))
    assert torch.equal(left[..., seen:], mask[..., seen:].expand(4, 1, -1, -1))


def test_what_is_gone_stays_gone() -> None:
    torch.manual_seed(1)
    frames = 30
    _, mask = Stage1.layout(frames, 1, 2, 1.0)
    left = forget(mask, lifetimes(torch.full((2, frames), -1), keep=0.3), PREFIX, frames)
    for token in range(PREFIX, PREFIX + 9 * 10):
        visible = left[0, 0, token:, token].int()
        assert (visible[1:] <= visible[:-1]).all()


def test_objects_stay_twice_as_often_as_the_ground() -> None:
    torch.manual_seed(2)
    cells = torch.full((50, 60), 3)
    forever = lifetimes(cells, keep=0.3).view(50, 60, 9) > 10**6
    assert 0.55 < forever[..., 3].float().mean() < 0.65
    assert 0.25 < forever[..., 4].float().mean() < 0.35
