"""The sample clip's takes drift before a ground that stays."""

import numpy as np
import pytest

from training.clip import Take
from training.world import PLACES

pytestmark = pytest.mark.usefixtures("font")


@pytest.mark.parametrize("place", PLACES)
def test_the_object_is_drawn_where_the_script_says(place: str) -> None:
    take = Take("clock", place, "red", 96, np.random.default_rng(0))
    changed = np.abs(take.picture(0.0) - take.ground).sum(-1) > 60
    rows, columns = changed.nonzero()
    x, y = PLACES[place]
    assert abs(columns.mean() / 96 - x) < 0.08
    assert abs(rows.mean() / 96 - y) < 0.08


def test_a_take_moves_but_keeps_its_ground() -> None:
    take = Take("cat", "middle", "yellow", 96, np.random.default_rng(1))
    first, later = take.picture(0.0), take.picture(2.0)
    assert np.abs(first - later).max() > 20
    assert np.array_equal(first[:4], later[:4])
