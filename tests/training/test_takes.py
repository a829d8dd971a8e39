"""Takes keep to their side of the split, and their shots differ by what they say."""

import numpy as np
import pytest

from training.bank import pack, unpack
from training.sight import cell_labels
from training.takes import Drawer
from training.world import direction, is_held_out


@pytest.mark.parametrize("held_out", [False, True])
def test_combinations_are_on_the_wanted_side(held_out: bool) -> None:
    drawer = Drawer(np.random.default_rng(0), held_out)
    for _ in range(400):
        first = drawer.draw().shots[0]
        assert all(is_held_out(*thing, first.ground) == held_out for thing in first.things)


def test_a_place_shows_one_thing_only() -> None:
    drawer = Drawer(np.random.default_rng(1))
    for _ in range(400):
        for shot in drawer.draw().shots:
            places = [thing.place for thing in shot.things] + [shot.text_place] * (shot.text >= 0)
            assert len(places) == len(set(places))
            assert len({thing.obj for thing in shot.things}) == len(shot.things)
            assert sum(label >= 0 for label in cell_labels(shot)) == len(places)


def test_what_moves_moves_in_a_straight_line() -> None:
    drawer = Drawer(np.random.default_rng(2))
    moves = [take for take in (drawer.moves() for _ in range(200)) if take is not None]
    assert moves
    for take in moves:
        for before, after in zip(take.shots, take.shots[1:], strict=False):
            moved = [
                direction(a.place, b.place)
                for a, b in zip(before.things, after.things, strict=True)
                if a != b
            ]
            assert len(moved) == 1 and moved[0] is not None


def test_a_take_is_stored_and_read_back() -> None:
    drawer = Drawer(np.random.default_rng(3))
    for _ in range(50):
        take = drawer.draw()
        assert unpack(pack(take)) == take
