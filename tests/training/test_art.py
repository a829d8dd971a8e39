"""Every object has a picture, and photographs for evaluation are never learned from."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from training import art
from training.material import CREDITS, HELD_OUT_PHOTOS
from training.world import OBJECT_NAMES

GREY = 77


@pytest.fixture
def material(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Photographs for evaluation are grey, all others are noise."""
    rng = np.random.default_rng(0)
    for folder in ("photos", "landscapes"):
        (tmp_path / folder).mkdir()
    names = [f"photos/{name}" for name, *_ in CREDITS] + ["landscapes/beach0.jpg"]
    for i, name in enumerate(names):
        held_out = len(CREDITS) - HELD_OUT_PHOTOS <= i < len(CREDITS)
        pixels = rng.integers(0, 256, (120, 200, 3), np.uint8)
        picture = np.full_like(pixels, GREY) if held_out else pixels
        Image.fromarray(picture).save(tmp_path / name)
    monkeypatch.setattr(art, "MATERIAL", tmp_path)
    art.photographs.cache_clear()
    yield tmp_path
    art.photographs.cache_clear()


@pytest.mark.usefixtures("font")
def test_every_object_has_a_picture_of_its_own() -> None:
    pictures = [art.sprite(obj, 0) for obj in range(len(OBJECT_NAMES))]
    assert len({picture.tobytes() for picture in pictures}) == len(OBJECT_NAMES) >= 120
    assert all((picture[..., 3] > 0.5).mean() > 0.1 for picture in pictures)


@pytest.mark.usefixtures("material")
def test_photographs_for_evaluation_stay_as_they_are_and_are_not_learned_from() -> None:
    assert not set(art.photographs(True)) & set(art.photographs(False))
    assert len(art.photographs(True)) == HELD_OUT_PHOTOS
    rng = np.random.default_rng(1)
    for _ in range(20):
        assert (np.abs(art.photo_ground(32, rng, True) - GREY) <= 1).all()


@pytest.mark.usefixtures("material")
def test_grounds_to_learn_from_vary() -> None:
    rng = np.random.default_rng(2)
    grounds = [art.photo_ground(32, rng, False) for _ in range(40)]
    for ground in grounds:
        assert ground.shape == (32, 32, 3) and ground.dtype == np.float32
        assert np.isfinite(ground).all() and ground.min() >= 0 and ground.std() > 1
    means = np.array([ground.mean((0, 1)) for ground in grounds])
    assert (means.std(0) > 10).all()


def test_what_is_missing_is_named_with_the_command(material: Path) -> None:
    (material / "photos" / CREDITS[0][0]).unlink()
    with pytest.raises(FileNotFoundError, match=r"training\.material --out"):
        art.photographs(False)
