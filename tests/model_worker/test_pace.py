"""How many frames a turn takes, by what turns have cost."""

import pytest

from model_worker.pace import Pace


def learnt(step: float, frame: float, most: int = 8) -> Pace:
    pace = Pace(most)
    for _ in range(50):
        pace.note(step, 0, answering=True)
        pace.note(4 * frame, 4, answering=False)
    return pace


def test_nobody_waits_for_words_so_that_frames_go_together() -> None:
    assert Pace(8).frames(answering=False) == 8
    assert learnt(1.0, 1.0).frames(answering=False) == 8


def test_before_anything_was_measured_an_answer_is_held_up_by_one_frame() -> None:
    assert Pace(8).frames(answering=True) == 1


@pytest.mark.parametrize(
    ("step", "frame", "expected"), [(1.0, 2.0, 1), (1.0, 0.5, 3), (1.0, 0.1, 8), (0.001, 0.003, 1)]
)
def test_frames_add_at_most_a_step_and_a_half(step: float, frame: float, expected: int) -> None:
    assert learnt(step, frame).frames(answering=True) == expected


def test_what_frames_add_to_a_step_is_learnt_too() -> None:
    pace = learnt(1.0, 0.1)
    for _ in range(50):
        pace.note(1.0 + 3 * 0.7, 3, answering=True)
    assert pace.frames(answering=True) == 2


def test_a_turn_takes_at_least_one_frame() -> None:
    with pytest.raises(ValueError, match="at least one"):
        Pace(0)
