"""READMem: as many different scenes as there are slots."""

import torch

from model_worker.memory.policies.choosing import unit
from model_worker.memory.policies.readmem import ReadMem, most_diverse
from model_worker.memory.rotation import turn
from tests.model_worker.memory.policies.memories import noise

FRAME = 6


def test_different_scenes_take_the_place_of_repeated_ones() -> None:
    scenes = torch.eye(4)[[0, 0, 0, 0, 1, 1, 2, 2, 3]] + 0.01 * torch.randn(9, 4)
    held = most_diverse(unit(scenes), 4)
    assert held[0] == 0, "the first is never replaced"
    assert sorted(held)[0] == 0
    assert {(0 if i < 4 else i // 2 - 1) for i in held} == {0, 1, 2, 3}


def test_a_scene_that_stays_the_same_moves_nothing() -> None:
    assert most_diverse(unit(torch.ones(9, 4)), 4) == [0, 1, 2, 3]


def test_one_slot_is_the_first_frames() -> None:
    assert most_diverse(unit(torch.randn(9, 4)), 1) == [0]


def test_whole_frames_of_different_scenes_stay_wherever_they_stood() -> None:
    tokens = noise(ReadMem(), frames=9, layers=1)
    looks = torch.eye(8)
    still = torch.zeros(9 * FRAME, 8)
    for frame, scene in enumerate((0, 0, 0, 1, 0, 2, 0, 0, 0)):
        still[frame * FRAME : (frame + 1) * FRAME] = looks[scene]
    tokens.keys.copy_(turn(still.expand_as(tokens.keys), tokens.turned()))
    kept = ReadMem().choose(tokens, FRAME, 4 * FRAME)
    frames = sorted(set((kept[0, 0] // FRAME).tolist()))
    assert len(frames) == 4
    assert {0, 3, 5, 8} == set(frames)
    assert (kept == kept[:, :1]).all()
