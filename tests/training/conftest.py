"""The emoji font is needed for drawing alone."""

import os

import pytest

from training.art import FONT


@pytest.fixture
def font() -> None:
    if not FONT.exists():
        message = f"{FONT} is missing: apt-get install fonts-noto-color-emoji"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
