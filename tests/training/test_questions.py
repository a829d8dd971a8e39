"""Right answers."""

import numpy as np
import pytest

from training.checkpoint import build_tokenizer
from training.chronicle import Chronicle
from training.phrasings import KINDS, PHRASINGS, PRONOUNS
from training.questions import Asker
from training.sight import Sight, Thing
from training.world import AGE_NAMES, PHOTO

LEFT, RIGHT, TOP, BOTTOM, MIDDLE = range(5)
DOG, CAT, CUP = 2, 3, 8
UNKNOWN = 0

STREAM = [
    Sight((Thing(CUP, TOP),), PHOTO),
    Sight((Thing(DOG, RIGHT), Thing(CAT, LEFT)), 1),
    Sight((Thing(DOG, MIDDLE), Thing(CAT, LEFT)), 1),
    Sight((Thing(DOG, MIDDLE), Thing(CAT, LEFT)), 1, text=24 + 7, text_place=BOTTOM),
]


def answers(kind: str, sights: list[Sight], topic: int = -1) -> set[str]:
    asker = Asker(Chronicle(sights), np.random.default_rng(0))
    asked = [asker.ask(kind, topic) for _ in range(2000)]
    return {e.answer for e in asked if e is not None and not e.absent}


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("now", set()),
        ("scene", {"I see a cat and a dog."}),
        ("many", {"I see two things."}),
        ("reading", {"It says 7."}),
        ("word", {"I have seen no word."}),
        ("number", {f"The {w} number was 7." for w in ("first", "last")}
         | {"Yes, I have seen the number 7."}),
        ("happened", {"A dog moved left."}),
        ("moved", {"The dog moved left.", "The cat did not move.", "The cup did not move."}),
        ("still", {"Yes, the dog is still there.", "Yes, the cat is still there.",
                   "No, the cup is gone."}),
        ("with", {"I saw a cat with the dog.", "I saw a dog with the cat.",
                  "I saw nothing with the cup."}),
        ("where", {"The cat was on the left.", "The cup was at the top."}),
        ("colour", {"The background was orange.", "The background was a photo."}),
        ("before", {"I saw a cup before the dog.", "I saw a cup before the cat.",
                    "I saw nothing before the cup."}),
        ("first", {"The first thing was a cup."}),
        ("last", set()),
        ("ago", {f"I saw the {name} just now." for name in ("dog", "cat", "cup")}),
        ("when", {"I saw the cup at the beginning."}),
    ],
)  # fmt: skip
def test_right_answers(kind: str, expected: set[str]) -> None:
    assert answers(kind, STREAM) == expected


def test_several_things_are_listed_row_by_row() -> None:
    sights = [Sight((Thing(CAT, LEFT), Thing(DOG, TOP)), 1)]
    assert answers("scene", sights) == {"I see a dog and a cat."}


def test_it_means_what_was_spoken_of() -> None:
    found = answers("it", STREAM, topic=CUP)
    assert {"The cup was at the top.", "The cup did not move.", "No, the cup is gone."} <= found
    assert all("cup" in answer or "photo" in answer for answer in found)
    assert answers("it", STREAM) == set()


def test_only_unambiguous_answers_become_a_topic() -> None:
    asker = Asker(Chronicle(STREAM), np.random.default_rng(1))
    for kind in KINDS:
        for _ in range(50):
            asked = asker.ask(kind, CUP)
            if asked is not None and asked.topic >= 0:
                assert asked.kind not in ("after", "before", "scene", "future")


def test_a_single_object_is_spoken_of_alone() -> None:
    sights = [Sight((Thing(DOG, LEFT),), 0), Sight((Thing(CUP, MIDDLE),), 3), Sight((), 2)]
    expected = {
        "now": {"I see nothing now."},
        "seen": {"Yes, I have seen a dog.", "Yes, I have seen a cup."},
        "after": {"I saw a cup after the dog.", "I saw nothing after the cup."},
        "before": {"I saw nothing before the dog.", "I saw a dog before the cup."},
        "first": {"The first thing was a dog."},
        "last": {"The last thing was a cup."},
        "where": {"The dog was on the left.", "The cup was in the middle."},
        "colour": {"The background was red.", "The background was green."},
        "count": {"I have seen two different things."},
        "future": {"I have not seen that yet."},
    }
    assert {kind: answers(kind, sights) for kind in expected} == expected


@pytest.mark.parametrize(
    "text", [f for table in (PHRASINGS, PRONOUNS) for forms in table.values() for f in forms]
)
def test_every_word_of_the_questions_is_known(text: str) -> None:
    tokenizer = build_tokenizer()
    named = text.replace("X", "lion")
    assert UNKNOWN not in tokenizer.encode(named)
    assert UNKNOWN not in tokenizer.encode(named[0].upper() + named[1:])


def test_every_word_of_the_answers_is_known() -> None:
    tokenizer = build_tokenizer()
    said = {a for kind in KINDS for a in answers(kind, STREAM, topic=DOG)} | set(AGE_NAMES)
    assert all(UNKNOWN not in tokenizer.encode(answer) for answer in said)
