"""What tokens and questions are taught beside the answers."""

import numpy as np

from training.chronicle import Chronicle
from training.clips import anchored
from training.labels import (
    FACTS,
    FIRST_TEXT,
    IGNORE,
    NO_TEXT,
    NOTHING,
    TOKEN_LABELS,
    facts_of,
    token_labels,
)
from training.sight import Sight, Thing
from training.world import NOT_MOVED

LEFT, TOP, BOTTOM, MIDDLE = 0, 2, 3, 4
RIGHTWARDS = 1
DOG, CAT, CUP = 2, 3, 8
STOP, GO, SEVEN = 0, 1, 24 + 7

STREAM = Chronicle(
    [
        Sight((Thing(CUP, TOP),), 1),
        Sight((Thing(DOG, LEFT), Thing(CAT, TOP)), 2),
        Sight((), 2, text=STOP, text_place=BOTTOM),
        Sight((), 2, text=SEVEN, text_place=BOTTOM),
        Sight((), 2, text=GO, text_place=TOP),
        Sight((), 2, text=GO, text_place=TOP),
    ]
)


def fact(name: str, about: int) -> int:
    return facts_of(about, STREAM)[list(FACTS).index(name)]


def test_facts_of_objects() -> None:
    assert [fact("seen", obj) for obj in (DOG, CAT, 50)] == [1, 1, 0]
    assert fact("with", DOG) == CAT and fact("with", CUP) == NOTHING
    assert fact("before", DOG) == CUP and fact("after", CUP) == IGNORE  # two came together
    assert fact("third", CUP) == 0 and fact("place", 50) == IGNORE


def test_facts_of_texts_are_whether_they_were_shown() -> None:
    assert [fact("seen", FIRST_TEXT + text) for text in (STOP, GO, SEVEN, 5)] == [1, 1, 1, 0]
    assert set(facts_of(FIRST_TEXT + GO, STREAM)[1:]) == {IGNORE}


def test_a_text_knows_the_text_of_its_sort_before_it() -> None:
    at, labels = token_labels(STREAM)
    spoken = list(TOKEN_LABELS).index("spoken")
    assert [place for place in at if place[0] >= 2] == [(2, 7), (3, 7), (4, 1), (5, 1)]
    assert [row[spoken] for row in labels] == [IGNORE] * 3 + [NO_TEXT, NO_TEXT, STOP, STOP]


def test_something_of_every_object_and_text_stays() -> None:
    at, _ = token_labels(STREAM)
    for seed in range(20):
        kept = {at[i] for i in anchored(STREAM, np.random.default_rng(seed))}
        assert {(0, 1), (1, 3), (1, 1), (2, 7), (3, 7)} <= kept and kept & {(4, 1), (5, 1)}


def test_tokens_know_how_their_object_moved_and_who_was_there_before_this_frame() -> None:
    both = (Thing(CAT, TOP), Thing(DOG, LEFT))
    sights = [Sight(both, 1), Sight(both, 1), Sight((both[0], Thing(DOG, MIDDLE)), 1)]
    _, labels = token_labels(Chronicle([*sights, sights[-1], Sight((Thing(CUP, TOP),), 2)]))
    names = list(TOKEN_LABELS)
    told = [[row[names.index(name)] for name in ("shift", "with")] for row in labels]
    assert told == [
        [NOT_MOVED, IGNORE], [NOT_MOVED, IGNORE],  # what comes later in a frame is not known yet
        [NOT_MOVED, DOG], [NOT_MOVED, CAT],
        [NOT_MOVED, DOG], [RIGHTWARDS, CAT],
        [NOT_MOVED, DOG], [RIGHTWARDS, CAT],
        [NOT_MOVED, IGNORE],
    ]  # fmt: skip
