"""Every object has a picture."""

import pytest

from training.art import sprite
from training.world import OBJECT_NAMES

pytestmark = pytest.mark.usefixtures("font")


def test_every_object_has_a_picture_of_its_own() -> None:
    art = [sprite(obj, 0) for obj in range(len(OBJECT_NAMES))]
    assert len({picture.tobytes() for picture in art}) == len(OBJECT_NAMES) >= 120
    assert all((picture[..., 3] > 0.5).mean() > 0.1 for picture in art)
