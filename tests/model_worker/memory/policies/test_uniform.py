"""Frames at an even distance, however long the stream."""

from itertools import pairwise

import torch

from model_worker.memory.policies.uniform import Uniform
from tests.model_worker.memory.policies.memories import first, noise


def numbers_after(frames: int, budget_frames: int) -> list[int]:
    """The numbers of the frames that are kept when one more frame comes at a time."""
    policy = Uniform()
    tokens = noise(policy, frames=frames, rows=1, columns=2, layers=1, heads=1)
    kept = torch.arange(0)
    for frame in range(frames):
        kept = torch.cat((kept, torch.arange(2 * frame, 2 * frame + 2)))
        if len(kept) > 2 * budget_frames:
            part = first(tokens, 0).__class__(
                *(each[:, :, kept] for each in (tokens.keys, tokens.values)),
                *(each[..., kept] for each in (tokens.patches, tokens.times, tokens.positions)),
                marks=tokens.marks[..., kept],
                attention=tokens.attention[..., kept],
            )
            kept = kept[policy.choose(part, 2, 2 * budget_frames)[0, 0]]
    return sorted({int(number) for number in tokens.marks[0, 0, 0, kept]})


def test_whole_frames_stay_evenly_over_all_that_was_seen() -> None:
    assert numbers_after(9, 9) == list(range(9))
    assert numbers_after(17, 9) == [0, 2, 4, 6, 8, 10, 12, 14, 16]
    assert numbers_after(129, 9) == [0, 16, 32, 48, 64, 80, 96, 112, 128]


def test_gaps_differ_by_a_factor_of_two_at_most_but_for_the_newest() -> None:
    for frames in range(20, 160, 23):
        numbers = numbers_after(frames, 9)
        gaps = [b - a for a, b in pairwise(numbers[:-1])]
        assert max(gaps) <= 2 * min(gaps), numbers
        assert len(numbers) == 9
        assert numbers[-1] == frames - 1


def test_every_head_keeps_the_same() -> None:
    policy = Uniform()
    kept = policy.choose(noise(policy), 6, 24)
    assert (kept == kept[0, 0]).all()
