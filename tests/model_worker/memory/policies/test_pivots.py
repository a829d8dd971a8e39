"""Pivots: a cut survives, where nothing changes there is none."""

import torch

from model_worker.memory.policies.pivots import Pivots
from tests.model_worker.memory.policies.memories import mark, noise

FRAME = 6
POLICY = Pivots(tar_ratio=0.25)


def test_a_cut_is_a_pivot_and_stays_however_small_its_values() -> None:
    tokens = noise(POLICY, frames=10)
    tokens.values[:] = tokens.values[:, :, :FRAME].repeat(1, 1, 10, 1)
    tokens.values[:, :, 4 * FRAME :] *= -0.01  # another picture from the fifth frame on
    tokens.keys[:] = tokens.keys[:, :, :FRAME].repeat(1, 1, 10, 1)
    tokens.marks.zero_()
    mark(POLICY, tokens, FRAME)
    distance, pivot = tokens.marks[:, 1, 2]
    cut = slice(4 * FRAME, 5 * FRAME)
    assert torch.allclose(distance[cut], torch.full((FRAME,), 2.0), atol=1e-5)
    assert pivot[cut].all()
    assert (distance[5 * FRAME :] < 1e-5).all()
    kept = POLICY.choose(tokens, FRAME, 4 * FRAME)
    assert torch.isin(torch.arange(4 * FRAME, 5 * FRAME), kept[1, 2]).all()


def test_only_the_greatest_of_neighbouring_changes_is_one() -> None:
    tokens = noise(POLICY, frames=5, layers=1, heads=1)
    for frame, turned in enumerate((0.0, 0.2, 1.2, 1.5, 1.6)):
        angle = torch.tensor(turned)
        look = torch.stack((angle.cos(), angle.sin(), *[angle * 0] * 6))
        tokens.values[0, 0, frame * FRAME : (frame + 1) * FRAME] = look
    tokens.marks.zero_()
    mark(POLICY, tokens, FRAME)
    assert tokens.marks[1, 0, 0, ::FRAME].tolist() == [0.0, 0.0, 1.0, 0.0, 0.0]
