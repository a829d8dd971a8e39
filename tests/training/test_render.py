"""Grounds have the colour of their label; codecs cost detail and no frame."""

import numpy as np
import pytest

from training.render import Picture, background, degrade, through_codec
from training.world import COLOUR_NAMES, COLOURS


def still(colour: int, rng: np.random.Generator) -> Picture:
    return degrade(background(colour, 96, rng), rng)


@pytest.mark.parametrize("colour", range(len(COLOUR_NAMES)))
def test_the_ground_has_the_colour_of_the_label(colour: int) -> None:
    mean = still(colour, np.random.default_rng(colour)).reshape(-1, 3).mean(0)
    nearest = min(COLOURS, key=lambda name: float(np.linalg.norm(mean - np.array(COLOURS[name]))))
    assert nearest == COLOUR_NAMES[colour]


@pytest.mark.parametrize("codec", ["libx264", "libvpx"])
def test_a_codec_returns_every_frame_and_costs_detail(codec: str) -> None:
    rng = np.random.default_rng(2)
    frames = [still(colour, rng) for colour in range(6)]
    coded = list(through_codec(frames, codec, 80_000))
    assert len(coded) == len(frames)
    error = [np.abs(a.astype(int) - b).mean() for a, b in zip(frames, coded, strict=True)]
    assert min(error) > 0 and max(error) < 40
