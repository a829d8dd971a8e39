"""Pictures show what their labels say."""

import numpy as np
import pytest

from training.film import Studio
from training.sight import Look, Sight, Thing, paint
from training.stories import Shape
from training.takes import Drawer
from training.world import CELLS, PLACE_NAMES

pytestmark = pytest.mark.usefixtures("font")


def look(held_out: bool = False) -> Look:
    return Look.draw(0, 2, 96, np.random.default_rng(0), held_out)


@pytest.mark.parametrize("place", range(len(PLACE_NAMES)))
def test_an_object_is_drawn_in_its_cell(place: int) -> None:
    drawn = look()
    drawn.style = 0
    picture = paint(Sight((Thing(5, place),), 0), drawn, np.random.default_rng(1))
    rows, columns = (np.abs(picture - drawn.ground).sum(-1) > 60).nonzero()
    assert int(rows.mean() // 32) * 3 + int(columns.mean() // 32) == CELLS[place]


def test_a_word_is_written_in_its_row() -> None:
    drawn = look()
    picture = paint(Sight((), 0, text=3, text_place=3), drawn, np.random.default_rng(1))
    rows, columns = (np.abs(picture - drawn.ground).sum(-1) > 60).nonzero()
    assert rows.min() > 56 and abs(columns.mean() - 48) < 6


def test_a_story_is_filmed_frame_by_frame() -> None:
    rng = np.random.default_rng(5)
    drawer = Drawer(rng)
    studio = Studio([drawer.plain() for _ in range(60)], held_out=False)
    story = studio.story(Shape(12, 2.0, True, 0.1, 10), rng)
    pictures = list(studio.film(story, 96, rng))
    assert [p.shape for p in pictures] == [(96, 96, 3)] * 12
    for row, shown in zip(story.rows.tolist(), story.sights, strict=True):
        take, shot = studio.shots[row]
        assert studio.takes[take].shots[shot] == shown
