"""What there is has one name and one place each."""

import re

import pytest

from training.world import (
    AGES,
    CELLS,
    OBJECT_NAMES,
    OBJECTS,
    PLACE_NAMES,
    TEXTS,
    age_of,
    direction,
    is_held_out,
)


def test_objects_are_many_and_each_is_one_word_after_a() -> None:
    assert len(OBJECTS) == len(set(OBJECTS.values())) >= 120
    assert all(re.fullmatch(r"[b-df-hj-np-tv-z][a-z]+", name) for name in OBJECT_NAMES)
    assert not set(OBJECT_NAMES) & set(TEXTS)


def test_every_place_has_a_cell_of_its_own() -> None:
    assert sorted(CELLS) == list(range(9))


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        ("left", "right", 1), ("right", "middle", 0), ("bottom", "top", 2),
        ("top left", "bottom left", 3), ("left", "top", None), ("left", "left", None),
    ],
)  # fmt: skip
def test_directions(start: str, end: str, expected: int | None) -> None:
    assert direction(PLACE_NAMES.index(start), PLACE_NAMES.index(end)) == expected


def test_ages_lie_apart() -> None:
    bounds = [edge for span in AGES.values() for edge in span]
    assert bounds == sorted(set(bounds))
    assert age_of(0) == 0 and age_of(5.5) is None and age_of(1800) == len(AGES) - 1


def test_one_combination_in_ten_is_held_out() -> None:
    held = [is_held_out(o, p, g) for o in range(128) for p in range(9) for g in range(9)]
    assert 0.09 < sum(held) / len(held) < 0.11
