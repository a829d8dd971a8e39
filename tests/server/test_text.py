"""Halves of surrogate pairs are refused, and everything else is text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from server.text import Text

TEXT = TypeAdapter(Text)


@given(st.text())
def test_text_stays_as_it_is(text: str) -> None:
    assert TEXT.validate_python(text) == text


@pytest.mark.parametrize("half", ["\ud800", "\udfff", "a\udc00\ud800"])
def test_half_a_pair_is_named(half: str) -> None:
    with pytest.raises(ValidationError, match=rf"Character {half.find('a') + 1} is half"):
        TEXT.validate_python(half)
