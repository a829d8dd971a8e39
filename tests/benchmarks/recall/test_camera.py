"""A frame depends on its second alone, and shows what the script says."""

from itertools import pairwise

import numpy as np

from benchmarks.recall.art import noto
from benchmarks.recall.camera import SIDE, Camera, blank
from benchmarks.recall.scenario import SCENARIOS
from benchmarks.recall.script import Script, Shot, Thing, write
from benchmarks.recall.world import COLOUR_NAMES, COLOURS, PLACES


def test_frames_can_be_taken_in_any_order() -> None:
    script = write(SCENARIOS["moving"], 60, 0, seed=0)
    forward, backward = Camera(script, noto()), Camera(script, noto())
    taken = {second: forward.picture(second) for second in range(12)}
    for second in reversed(range(12)):
        again = backward.picture(second)
        assert again.shape == (SIDE, SIDE, 3)
        assert again.dtype == np.uint8
        assert np.array_equal(again, taken[second])


def test_the_object_is_where_it_should_be_on_its_ground() -> None:
    clock = 0
    for name in ("busy", "still", "small", "moving"):
        for place, (x, y) in enumerate(PLACES.values()):
            colour = COLOUR_NAMES.index("blue")
            shots = (Shot(0, 1, (Thing(clock, place),), colour), Shot(1, 2, (), colour))
            script = Script(SCENARIOS[name], 2, (7, place), shots)
            camera = Camera(script, noto())
            shown, empty = (camera.picture(second).astype(float) for second in range(2))
            assert np.abs(empty.mean((0, 1)) - COLOURS["blue"]).max() < 60
            differs = np.abs(shown - np.median(shown, axis=(0, 1))).max(2) > 60
            rows, columns = differs.nonzero()
            assert abs(columns.mean() / SIDE - x) < 0.13
            assert abs(rows.mean() / SIDE - y) < 0.13


def test_a_still_camera_sees_less_change_than_a_moving_one() -> None:
    def change(name: str) -> float:
        shots = (Shot(0, 20, (Thing(3, 4),), 0),)
        camera = Camera(Script(SCENARIOS[name], 20, (1,), shots), noto())
        frames = [camera.picture(second).astype(float) for second in range(20)]
        return float(np.mean([np.abs(a - b).mean() for a, b in pairwise(frames)]))

    assert change("moving") > 1.2 * change("still")
    assert change("sudden") > 1.2 * change("still")


def test_a_blank_frame_has_the_size_that_is_wanted() -> None:
    assert blank((96, 64)).shape == (64, 96, 3)
    assert not blank(None).any()
