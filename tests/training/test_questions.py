"""The questions' answers against streams small enough to check by eye."""

import numpy as np
import pytest

from training.questions import KINDS, PHRASINGS, Frame, appearances, ask
from training.streams import StreamShape, draw
from training.world import OBJECT_NAMES, is_held_out

CLOCK, BANANA, DOG = (OBJECT_NAMES.index(name) for name in ("clock", "banana", "dog"))
EMPTY = Frame(-1, 0, 0)
# banana on the left before red, nothing, clock at the top before orange, dog in the middle.
STREAM = [Frame(BANANA, 0, 0)] * 2 + [EMPTY] + [Frame(CLOCK, 2, 1)] * 2 + [Frame(DOG, 4, 4)]


def answers(kind: str, frames: list[Frame]) -> set[str]:
    rng = np.random.default_rng(0)
    asked = [ask(kind, frames, rng) for _ in range(400)]
    return {exchange.answer for exchange in asked if exchange is not None and not exchange.absent}


def test_an_empty_stretch_does_not_split_an_appearance() -> None:
    frames = [Frame(CLOCK, 0, 0), EMPTY, Frame(CLOCK, 0, 0), Frame(DOG, 0, 0)]
    assert [run.obj for run in appearances(frames)] == [CLOCK, DOG]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("now", {"It is a dog."}),
        ("first", {"The first thing was a banana."}),
        ("last", {"The last thing was a dog."}),
        ("count", {"I have seen three different things."}),
        (
            "before",
            {
                "I saw nothing before the banana.",
                "I saw a banana before the clock.",
                "I saw a clock before the dog.",
            },
        ),
        (
            "after",
            {
                "I saw a clock after the banana.",
                "I saw a dog after the clock.",
                "I saw nothing after the dog.",
            },
        ),
        (
            "where",
            {
                "The banana was on the left.",
                "The clock was at the top.",
                "The dog was in the middle.",
            },
        ),
        (
            "colour",
            {"The background was red.", "The background was orange.", "The background was blue."},
        ),
        ("future", {"I have not seen that yet."}),
        ("seen", {f"Yes, I have seen a {name}." for name in ("banana", "clock", "dog")}),
    ],
)
def test_right_answers(kind: str, expected: set[str]) -> None:
    assert answers(kind, STREAM) == expected


def test_seen_is_asked_yes_and_no_equally_often() -> None:
    rng = np.random.default_rng(1)
    asked = [ask("seen", STREAM, rng) for _ in range(2000)]
    yes = sum(exchange is not None and exchange.answer.startswith("Yes") for exchange in asked)
    assert 0.45 < yes / len(asked) < 0.55


def test_a_false_premise_is_refused() -> None:
    rng = np.random.default_rng(2)
    asked = [ask(kind, STREAM, rng) for kind in ("after", "before", "where", "colour") * 50]
    refusals = [exchange for exchange in asked if exchange is not None and exchange.absent]
    assert refusals
    for exchange in refusals:
        assert exchange.answer.startswith("I have not seen a ")
        assert exchange.answer.split()[-1].rstrip(".") not in ("banana", "clock", "dog")


def test_the_future_is_never_claimed_whatever_was_or_is_there() -> None:
    assert answers("future", []) == answers("future", [EMPTY]) == {"I have not seen that yet."}


def test_a_question_about_the_future_knows_which_object_it_names() -> None:
    rng = np.random.default_rng(4)
    asked = [ask("future", STREAM, rng) for _ in range(400)]
    assert any(e is not None and e.about >= 0 for e in asked)
    for exchange in asked:
        assert exchange is not None
        named = exchange.question.startswith(("will ", "Will "))
        # "what" holds "hat": only whole words are names.
        assert named == (exchange.about >= 0)
        assert not named or OBJECT_NAMES[exchange.about] in exchange.question.split()


def test_what_returned_is_not_asked_where_the_answer_would_be_ambiguous() -> None:
    frames = [Frame(CLOCK, 0, 0), Frame(DOG, 1, 1), Frame(CLOCK, 2, 2)]
    assert answers("where", frames) == {"The dog was on the right."}


def test_every_kind_has_several_phrasings() -> None:
    assert all(len(PHRASINGS[kind]) >= 4 for kind in KINDS)


@pytest.mark.parametrize("held_out", [False, True])
def test_a_stream_keeps_to_its_side_of_the_split(held_out: bool) -> None:
    rng = np.random.default_rng(3)
    for _ in range(20):
        frames = draw(StreamShape(60), rng, held_out)
        assert len(frames) == 60
        shown = [frame for frame in frames if frame.obj >= 0]
        assert all(is_held_out(*frame) == held_out for frame in shown)
