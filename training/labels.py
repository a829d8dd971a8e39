"""Dense supervision of stage 1: what the token of every object and every text, and every object
or text that a question means, is asked to know.

Knows nothing about tensors.
"""

from typing import Final

from training.chronicle import Chronicle
from training.world import (
    AGES,
    CELLS,
    DIRECTIONS,
    GROUND_NAMES,
    NOT_MOVED,
    OBJECT_NAMES,
    PLACES,
    TEXTS,
    WORDS,
)

IGNORE: Final = -100
NOTHING: Final = len(OBJECT_NAMES)  # the class "no object came before"
MOST_COUNTED: Final = 16

NO_TEXT: Final = len(TEXTS)  # the class "no text came before"
FIRST_TEXT: Final = len(OBJECT_NAMES)  # who asks about a text adds this to its index

TOKEN_LABELS: Final = {
    "before": NOTHING + 1, "start": 3, "count": MOST_COUNTED + 1, "shift": NOT_MOVED + 1,
    "spoken": NO_TEXT + 1, "with": NOTHING + 1,
}  # fmt: skip
"""Of a token, with the number of classes: the object that came before; whether it is a
new (1) or a returning (2) object's first frame; different objects so far; the way it moved last;
of a text's token: the text of its sort that came before; the one object that was there with it."""

COMMON: Final = {"shift": (NOT_MOVED, 0.1), "moved": (NOT_MOVED, 0.1), "with": (NOTHING, 0.2)}
"""Classes that would drown the others, and their weights."""

FACTS: Final = {
    "seen": 2, "place": len(PLACES), "ground": len(GROUND_NAMES), "before": NOTHING + 1,
    "after": NOTHING + 1, "with": NOTHING + 1, "third": 3, "moved": len(DIRECTIONS) + 1,
    "here": 2, "age": len(AGES),
}  # fmt: skip
"""What is known of a named object, and how many values each fact can have. Of a text: the first."""


def _or_ignore(value: int | None, nothing: int = IGNORE) -> int:
    return IGNORE if value is None else nothing if value < 0 else value


def facts_of(about: int, chronicle: Chronicle) -> list[int]:
    """FACTS of an object, or of the text `about - FIRST_TEXT`; what has no single answer is
    IGNORE."""
    if about >= FIRST_TEXT:
        return [int(about - FIRST_TEXT in chronicle.texts)] + [IGNORE] * (len(FACTS) - 1)
    runs = chronicle.runs_of(about)
    if not runs:
        return [0] + [IGNORE] * (len(FACTS) - 1)
    lasting = [
        _or_ignore(chronicle.moves_of(about)),
        int(chronicle.last.place_of(about) >= 0),
        _or_ignore(chronicle.age(about)),
    ]
    if len(runs) != 1:
        return [1] + [IGNORE] * (len(FACTS) - 1 - len(lasting)) + lasting
    run = runs[0]
    place = run.places[0] if len(run.places) == 1 else IGNORE
    ground = next(iter(run.grounds)) if len(run.grounds) == 1 else IGNORE
    sides = [_or_ignore(chronicle.neighbour(run, step), NOTHING) for step in (-1, 1)]
    company = IGNORE if len(run.companions) > 1 else next(iter(run.companions), NOTHING)
    return [1, place, ground, *sides, company, _or_ignore(chronicle.third(run)), *lasting]


def token_labels(chronicle: Chronicle) -> tuple[list[tuple[int, int]], list[list[int]]]:
    """(frame, cell) of every object and every text that is shown, in order, and its
    TOKEN_LABELS."""
    at: list[tuple[int, int]] = []
    labels: list[list[int]] = []
    seen: set[int] = set()
    before: dict[int, int] = {}
    spoken = {True: NO_TEXT, False: NO_TEXT}  # words, digits: the last, and the one before that
    earlier = dict(spoken)
    text = -1
    ways: dict[int, int] = {}
    company: dict[int, set[int]] = {}  # up to the frame before: what comes later is not known yet
    shifts = {
        (event.frame, event.obj): event.way for event in chronicle.events if event.what == "moved"
    }
    for frame, (sight, runs) in enumerate(zip(chronicle.sights, chronicle.current, strict=True)):
        starts = [
            0 if run.begin != frame else 2 if run.obj in seen else 1
            for run in runs
        ]  # fmt: skip
        seen |= {run.obj for run in runs}
        count = len(seen) if len(seen) <= MOST_COUNTED else IGNORE
        for thing, run, start in zip(sight.things, runs, starts, strict=True):
            if id(run) not in before:
                before[id(run)] = _or_ignore(chronicle.neighbour(run, -1), NOTHING)
            if (frame, thing.obj) in shifts:
                ways[id(run)] = shifts[frame, thing.obj]
            shift = _or_ignore(ways.get(id(run), NOT_MOVED))
            others = company.setdefault(id(run), set())
            single = run.begin < frame and len(others) < 2
            beside = next(iter(others), NOTHING) if single else IGNORE
            at.append((frame, CELLS[thing.place]))
            labels.append([before[id(run)], start, count, shift, IGNORE, beside])
        here = {thing.obj for thing in sight.things}
        for thing, run in zip(sight.things, runs, strict=True):
            company[id(run)] |= here - {thing.obj}
        if sight.text >= 0:
            sort = sight.text < len(WORDS)
            if sight.text != text:
                earlier[sort], spoken[sort] = spoken[sort], sight.text
            at.append((frame, CELLS[sight.text_place]))
            labels.append([IGNORE, IGNORE, IGNORE, IGNORE, earlier[sort], IGNORE])
        text = sight.text
    return at, labels
