"""What is asked of a stream at a second of it, and the one right answer.

Nothing is asked that has two right answers: where, on what ground and next to what an object was
is asked of objects that came once, and of order only between shots of one object. What comes after
the second of the question plays no part.
"""

import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np

from benchmarks.recall.script import Script, Shot
from benchmarks.recall.world import COLOUR_NAMES, NAMES, NUMBERS, PLACE_NAMES

Age = Literal["present", "recent", "distant", "none"]

AGES: Final[tuple[Age, ...]] = ("present", "recent", "distant", "none")
"""Of the asked event; "none" where no single event is asked of (absence, count)."""

PHRASINGS: Final[dict[str, tuple[str, ...]]] = {
    "now": ("What is it now?", "what do you see now?", "what is there right now?"),
    "seen": ("Have you seen a X?", "did you see a X?", "was there a X?"),
    "first": ("What was the first thing you saw?", "what did you see first?"),
    "last": ("What was the last thing you saw?", "what did you see last?"),
    "after": ("What came right after the X?", "what did you see right after the X?"),
    "before": ("What came right before the X?", "what did you see right before the X?"),
    "where": ("Where was the X?", "where did you see the X?"),
    "colour": ("What colour was the background with the X?", "what colour was behind the X?"),
    "count": ("How many different things have you seen?", "how many things did you see?"),
}  # fmt: skip
"""`X` stands for an object. All are among those that lookback-mini was trained on."""

KINDS: Final = (
    "now", "last", "seen", "absent", "first", "after", "before", "where", "colour", "count",
    "follow_up",
)  # fmt: skip

_PRESENT: Final = 10  # seconds
_EARLIEST: Final = 8
_AGELESS: Final = -1


@dataclass(frozen=True)
class Question:
    """Asked when the frames of the seconds before `second` have been seen.

    `before` is the question of the turn before, in the same conversation. `seconds_ago` is how
    long ago the asked event was last seen, -1 where none is asked of.
    """

    second: int
    kind: str
    age: Age
    seconds_ago: int
    text: str
    answer: str
    before: str | None = None


@dataclass(frozen=True)
class _Fact:
    """An answer, of the event that ended before second `end`; `about` is what the question names
    and `found` the object that the answer names."""

    kind: str
    answer: str
    end: int = _AGELESS
    about: int | None = None
    found: int | None = None
    lead: "_Fact | None" = None


def recent_seconds(seconds: int) -> float:
    """From where on an event is distant, in a stream of so many seconds: a minute or a tenth of
    the stream, but no more than half of it."""
    return min(max(60.0, seconds / 10), seconds / 2)


def examine(script: Script, count: int, kinds: tuple[str, ...] = KINDS) -> list[Question]:
    """At most `count` questions, two at a time, in the order of their random seconds; kinds in
    turn, and of a kind each age that there is equally often."""
    rng = np.random.default_rng((*script.seed, 5))
    seconds = sorted(int(s) for s in rng.integers(_EARLIEST, script.seconds + 1, -(-count // 2)))
    # Later seconds have all kinds, the first ones few: kinds are dealt out over all of them.
    deck = [kinds[i % len(kinds)] for i in range(count)]
    asked: list[Question] = []
    for second in seconds:
        order = dict.fromkeys(deck[int(i)] for i in rng.permutation(len(deck)))
        drawn = (draw(script, second, kind, rng) for kind in order)
        for question in itertools.islice((each for each in drawn if each is not None), 2):
            deck.remove(question.kind)
            asked.append(question)
    return asked


def draw(script: Script, second: int, kind: str, rng: np.random.Generator) -> Question | None:
    """A question of a kind at a second; None where there is none with one right answer."""
    by_age: dict[Age, list[_Fact]] = {}
    for fact in facts(script, second, kind):
        by_age.setdefault(_age(script, second, fact), []).append(fact)
    if not by_age:
        return None
    ages = [age for age in AGES if age in by_age]
    age = ages[int(rng.integers(len(ages)))]
    fact = by_age[age][int(rng.integers(len(by_age[age])))]
    lead = None if fact.lead is None else _said(fact.lead, rng)
    ago = _AGELESS if fact.end == _AGELESS else second - fact.end
    return Question(second, kind, age, ago, _said(fact, rng), fact.answer, lead)


def _age(script: Script, second: int, fact: _Fact) -> Age:
    if fact.end == _AGELESS:
        return "none"
    ago = second - fact.end
    if ago < _PRESENT:
        return "present"
    return "recent" if ago < recent_seconds(script.seconds) else "distant"


def _said(fact: _Fact, rng: np.random.Generator) -> str:
    kind = {"absent": "seen"}.get(fact.kind, fact.kind)
    forms = PHRASINGS[kind]
    name = "" if fact.about is None else NAMES[fact.about]
    return forms[int(rng.integers(len(forms)))].replace("X", name)


def facts(script: Script, second: int, kind: str) -> Iterator[_Fact]:
    """All that can be asked at a second."""
    shown = [
        replace(shot, end=min(shot.end, second)) for shot in script.shots if shot.start < second
    ]
    events = [shot for shot in shown if shot.things]
    times = Counter(thing.obj for shot in events for thing in shot.things)
    once = [
        (number, thing)
        for number, shot in enumerate(events)
        for thing in shot.things
        if times[thing.obj] == 1
    ]
    if kind == "now":
        now = shown[-1].things
        if len(now) < 2:
            answer = f"It is a {NAMES[now[0].obj]}." if now else "I see nothing now."
            yield _Fact(kind, answer, second)
    elif kind == "seen":
        for obj in times:
            end = max(shot.end for shot in events if obj in _objects(shot))
            yield _Fact(kind, f"Yes, I have seen a {NAMES[obj]}.", end, obj)
    elif kind == "absent":
        for obj in range(len(NAMES)):
            if obj not in times:
                yield _Fact(kind, f"No, I have not seen a {NAMES[obj]}.", about=obj)
    elif kind in ("first", "last"):
        if not events:
            yield _Fact(kind, "I have seen nothing.")
        elif len((event := events[0 if kind == "first" else -1]).things) == 1:
            obj = event.things[0].obj
            yield _Fact(kind, f"The {kind} thing was a {NAMES[obj]}.", event.end, found=obj)
    elif kind == "count" and len(times) < len(NUMBERS):
        count = f"{NUMBERS[len(times)]} different things" if len(times) > 1 else "one thing"
        yield _Fact(kind, f"I have seen {count}." if times else "I have seen nothing.")
    elif kind == "where":
        for number, thing in once:
            answer = f"The {NAMES[thing.obj]} was {PLACE_NAMES[thing.place]}."
            yield _Fact(kind, answer, events[number].end, thing.obj)
    elif kind == "colour":
        for number, thing in once:
            colour = COLOUR_NAMES[events[number].colour]
            yield _Fact(kind, f"The background was {colour}.", events[number].end, thing.obj)
    elif kind in ("after", "before"):
        step = 1 if kind == "after" else -1
        for number, thing in once:
            name, other = NAMES[thing.obj], number + step
            if not 0 <= other < len(events):
                answer = f"I saw nothing {kind} the {name}."
                yield _Fact(kind, answer, events[number].end, thing.obj)
            elif len(events[other].things) == 1:
                found = events[other].things[0].obj
                answer = f"I saw a {NAMES[found]} {kind} the {name}."
                end = min(events[number].end, events[other].end)
                yield _Fact(kind, answer, end, thing.obj, found)
    elif kind == "follow_up":
        yield from _follow_ups(script, second)


def _follow_ups(script: Script, second: int) -> Iterator[_Fact]:
    """What can be asked of the object that the answer before has named."""
    found: dict[int, list[_Fact]] = {}
    for kind in ("first", "after", "before"):
        for lead in facts(script, second, kind):
            if lead.found is not None:
                found.setdefault(lead.found, []).append(lead)
    for kind in ("where", "colour", "after", "before"):
        for fact in facts(script, second, kind):
            for lead in found.get(fact.about if fact.about is not None else _AGELESS, []):
                if lead.about is None or lead.about != fact.found:  # not the same, backwards
                    yield replace(fact, lead=lead)


def _objects(shot: Shot) -> set[int]:
    return {thing.obj for thing in shot.things}
