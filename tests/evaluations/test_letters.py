"""Which option an answer names."""

import pytest

from evaluations.letters import before_bracket, first_letter, lettered


@pytest.mark.parametrize(
    ("response", "letter"),
    [
        ("B", "B"),
        ("(C) Two.", "C"),
        ("The best answer is D.", "D"),
        ("Best answer: A", "A"),
        ("The correct option is: B. One", "B"),
        ("I do not know", ""),
        ("", ""),
        ("E", ""),  # no option of four
        ("b", ""),
    ],
)
def test_the_first_capital_letter_of_an_option(response: str, letter: str) -> None:
    assert first_letter(response, "ABCD") == letter


def test_a_question_without_options_has_no_letter() -> None:
    assert first_letter("A", "") == ""


@pytest.mark.parametrize(
    ("response", "letter"),
    [("A) Once", "A"), ("(B) Twice", "B"), ("C", "C"), ("It is (A)", ""), ("E)", ""), ("", "")],
)
def test_what_stands_before_the_bracket(response: str, letter: str) -> None:
    assert before_bracket(response, "ABCD") == letter


def test_letters_are_added_where_there_are_none() -> None:
    assert lettered(("a dog", "B cat")) == ("A. a dog", "B. B cat")
    assert lettered(("A. a dog", "B.A cat", "(C) x")) == ("A. a dog", "B.A cat", "(C) x")
    assert lettered(("x", "y"), "({letter}) {text}") == ("(A) x", "(B) y")
