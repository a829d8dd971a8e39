"""Pictures show what their labels say."""

import numpy as np
import pytest

from training.film import Take, sample_frames
from training.questions import Frame
from training.render import sprite, still, through_codec
from training.world import COLOUR_NAMES, COLOURS, OBJECT_NAMES, PLACE_NAMES, PLACES

pytestmark = pytest.mark.usefixtures("font")


def test_every_object_has_a_picture_of_its_own() -> None:
    seen = {sprite(obj).tobytes() for obj in range(len(OBJECT_NAMES))}
    assert len(seen) == len(OBJECT_NAMES) >= 64
    assert all((sprite(obj)[..., 3] > 0.5).mean() > 0.1 for obj in range(len(OBJECT_NAMES)))


@pytest.mark.parametrize("place", range(len(PLACE_NAMES)))
def test_the_object_is_drawn_where_the_label_says(place: int) -> None:
    take = Take(Frame(0, place, 0), 96, np.random.default_rng(0))
    changed = np.abs(take.picture(0.0) - take.ground).sum(-1) > 60
    rows, columns = changed.nonzero()
    x, y = PLACES[PLACE_NAMES[place]]
    assert abs(columns.mean() / 96 - x) < 0.08
    assert abs(rows.mean() / 96 - y) < 0.08


@pytest.mark.parametrize("colour", range(len(COLOUR_NAMES)))
def test_the_ground_has_the_colour_of_the_label(colour: int) -> None:
    rng = np.random.default_rng(colour)
    mean = still(None, 0, colour, 96, rng).reshape(-1, 3).mean(0)
    nearest = min(COLOURS, key=lambda name: float(np.linalg.norm(mean - np.array(COLOURS[name]))))
    assert nearest == COLOUR_NAMES[colour]


def test_a_take_moves_but_keeps_its_ground() -> None:
    take = Take(Frame(3, 4, 2), 96, np.random.default_rng(1))
    first, later = take.picture(0.0), take.picture(2.0)
    assert np.abs(first - later).max() > 20
    assert np.array_equal(first[:4], later[:4])


@pytest.mark.parametrize("codec", ["libx264", "libvpx"])
def test_a_codec_returns_every_frame_and_costs_detail(codec: str) -> None:
    rng = np.random.default_rng(2)
    frames = [still(i, 4, 1, 96, rng) for i in range(6)]
    coded = list(through_codec(frames, codec, 80_000))
    assert len(coded) == len(frames)
    error = [np.abs(a.astype(int) - b).mean() for a, b in zip(frames, coded, strict=True)]
    assert min(error) > 0 and max(error) < 40


def test_sampled_frames_have_the_models_size() -> None:
    frames = [Frame(1, 0, 0)] * 3 + [Frame(-1, 0, 2)]
    pictures = list(sample_frames(frames, 192, 96, np.random.default_rng(3)))
    assert [p.shape for p in pictures] == [(96, 96, 3)] * 4
