"""Each object has a picture of its own, in the shipped style and in a font's."""

from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest

from benchmarks.errors import OptionError
from benchmarks.recall.art import SHEET, drawn, noto, sprites
from benchmarks.recall.world import NAMES


def test_the_sheet_has_all_objects_and_is_small() -> None:
    pictures = noto()
    assert len(pictures) == len(NAMES) == 64
    assert SHEET.stat().st_size < 600_000
    assert len({picture.tobytes() for picture in pictures}) == 64
    for picture in pictures:
        assert max(picture.shape[:2]) >= 80
        assert picture.shape[2] == 4
        assert 0 <= picture.min() <= picture.max() <= 1
        for edge in (picture[0], picture[-1], picture[:, 0], picture[:, -1]):
            assert edge[..., 3].any()  # trimmed
    assert sprites("noto") is noto()


def test_a_font_without_the_objects_is_named(tmp_path: Path) -> None:
    letters = Path(mpl.get_data_path()) / "fonts/ttf/DejaVuSans.ttf"
    with pytest.raises(OptionError, match="no picture of a clock"):
        drawn(letters)
    other = tmp_path / "art.ttf"
    other.write_text("no font")
    with pytest.raises(OptionError, match="no font that can be read"):
        drawn(other)


def test_what_a_sprite_shows_is_not_what_it_hides() -> None:
    """Premultiplied or not, colours under full transparency must not shine through."""
    tree = noto()[NAMES.index("tree")]
    solid = tree[tree[..., 3] > 0.9]
    assert np.argmax(solid[:, :3].mean(0)) == 1  # green
