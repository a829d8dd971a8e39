"""What can be asked of a chronicle, and the right answers, as short English sentences."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from training.chronicle import Chronicle, Run
from training.labels import FIRST_TEXT
from training.phrasings import PHRASINGS, PRONOUNS
from training.world import (
    AGE_NAMES,
    CELLS,
    DIRECTIONS,
    GROUND_NAMES,
    NOT_MOVED,
    NUMBERS,
    OBJECT_NAMES,
    PHOTO,
    PLACE_NAMES,
    PLACE_PHRASES,
    TEXTS,
    WORDS,
)

ABSENT_SHARE: Final = 0.12  # of the questions that name an object which was not there
DULL_SHARE: Final = 0.05  # of the questions whose answer is that there was nothing of the kind
TELLING_SHARE: Final = 0.6  # of the questions about moves and company: about what had any
DULL: Final = ("says nothing.", "seen no word.", "seen no number.", "did not move.")
THIRDS: Final = ("at the beginning", "in the middle", "at the end")


@dataclass(frozen=True, slots=True)
class Exchange:
    """One question and its right answer."""

    kind: str
    question: str
    answer: str
    about: int = -1  # the object that the question is about, or labels.FIRST_TEXT + a text
    word: str = ""  # the word of the question that means it
    topic: int = -1  # the object that "it" means afterwards
    absent: bool = False


def listed(objects: Sequence[int]) -> str:
    """ "a dog", "a dog and a cat", "a dog, a cat and a car"."""
    names = [f"a {OBJECT_NAMES[obj]}" for obj in objects]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _choose(forms: Sequence[str], rng: np.random.Generator, name: str = "") -> str:
    text = forms[int(rng.integers(len(forms)))].replace("X", name)
    return text[0].upper() + text[1:] if rng.random() < 0.5 else text


def phrase(kind: str, rng: np.random.Generator, name: str = "") -> str:
    """A random phrasing of a question, its first letter sometimes a capital."""
    return _choose(PHRASINGS[kind], rng, name)


class Asker:
    """Asks about one chronicle."""

    def __init__(self, chronicle: Chronicle, rng: np.random.Generator) -> None:
        self.chronicle, self.rng = chronicle, rng

    def ask(self, kind: str, topic: int = -1) -> Exchange | None:
        """A question of `kind`, or None where the stream allows none; "it" means `topic`."""
        asked = self._ask(kind, topic)
        if asked is not None and asked.answer.endswith(DULL) and self.rng.random() > DULL_SHARE:
            return None
        return asked

    def _ask(self, kind: str, topic: int) -> Exchange | None:
        if kind == "it":
            return self._follow_up(topic) if topic >= 0 else None
        if kind in _ON_RUNS:
            return self._of_object(kind)
        simple: dict[str, Callable[[str], Exchange | None]] = {
            "now": self._sight, "scene": self._sight, "many": self._many, "seen": self._seen,
            "first": self._edge, "last": self._edge, "count": self._count, "future": self._future,
            "reading": self._reading, "word": self._text, "number": self._text,
            "happened": self._happened,
        }  # fmt: skip
        return simple[kind](kind)

    def _put(self, kind: str, answer: str, topic: int = -1) -> Exchange:
        return Exchange(kind, phrase(kind, self.rng), answer, topic=topic)

    def _sight(self, kind: str) -> Exchange | None:
        sight = self.chronicle.last
        # As one reads, which is the order of the tokens, too.
        ordered = sorted(sight.things, key=lambda thing: CELLS[thing.place])
        objects = [thing.obj for thing in ordered]
        if (kind == "scene") != (len(objects) > 1 or (not objects and sight.text >= 0)):
            return None
        if len(objects) > 1:
            return self._put(kind, f"I see {listed(objects)}.")
        if objects:
            return self._put(kind, f"It is a {OBJECT_NAMES[objects[0]]}.", objects[0])
        if sight.text >= 0:
            return self._put(kind, f"It says {TEXTS[sight.text]}.")
        return self._put(kind, "I see nothing now.")

    def _many(self, kind: str) -> Exchange:
        number = len(self.chronicle.last.things)
        if number == 0:
            return self._put(kind, "I see nothing now.")
        return self._put(kind, f"I see {NUMBERS[number]} thing{'s' * (number > 1)}.")

    def _absentee(self) -> int:
        others = [obj for obj in range(len(OBJECT_NAMES)) if obj not in self.chronicle.seen]
        return int(others[self.rng.integers(len(others))]) if others else -1

    def _seen(self, kind: str) -> Exchange | None:
        seen = sorted(self.chronicle.seen)
        absent = not seen or self.rng.random() < 0.5
        about = self._absentee() if absent else int(self.rng.choice(seen))
        if about < 0:
            return None
        name = OBJECT_NAMES[about]
        answer = f"No, I have not seen a {name}." if absent else f"Yes, I have seen a {name}."
        question = phrase(kind, self.rng, name)
        return Exchange(kind, question, answer, about, name, -1 if absent else about, absent)

    def _edge(self, kind: str) -> Exchange | None:
        chronicle = self.chronicle
        if not chronicle.runs:
            return self._put(kind, "I have seen nothing.")
        run = chronicle.runs[0 if kind == "first" else -1]
        if sum(other.begin == run.begin for other in chronicle.runs) > 1:
            return None
        # The last to come has to be the last that was there, too.
        if kind == "last" and any(
            other.end >= run.end for other in chronicle.runs if other is not run
        ):
            return None
        return self._put(kind, f"The {kind} thing was a {OBJECT_NAMES[run.obj]}.", run.obj)

    def _count(self, kind: str) -> Exchange | None:
        number = len(self.chronicle.seen)
        if number >= len(NUMBERS):
            return None
        if number == 0:
            return self._put(kind, "I have seen nothing.")
        what = "one thing" if number == 1 else f"{NUMBERS[number]} different things"
        return self._put(kind, f"I have seen {what}.")

    def _future(self, kind: str) -> Exchange:
        obj = int(self.rng.integers(len(OBJECT_NAMES)))
        name = OBJECT_NAMES[obj]
        forms = PHRASINGS[kind]
        form = forms[self.rng.integers(len(forms))]
        question = _choose((form,), self.rng, name)
        about, word = (obj, name) if "X" in form else (-1, "")
        return Exchange(kind, question, "I have not seen that yet.", about, word)

    def _reading(self, kind: str) -> Exchange:
        text = self.chronicle.last.text
        return self._put(kind, f"It says {TEXTS[text]}." if text >= 0 else "It says nothing.")

    def _text(self, kind: str) -> Exchange | None:
        is_word = kind == "word"
        shown = [text for text in self.chronicle.texts if (text < len(WORDS)) == is_word]
        form = PHRASINGS[kind][self.rng.integers(len(PHRASINGS[kind]))]
        if "X" not in form:
            if not shown:
                return Exchange(kind, _choose((form,), self.rng), f"I have seen no {kind}.")
            which = "first" if "first" in form else "last"
            text = TEXTS[shown[0 if which == "first" else -1]]
            return Exchange(kind, _choose((form,), self.rng), f"The {which} {kind} was {text}.")
        # Where nothing of the sort was shown, "no" is always right, and soon the only answer.
        if not shown and self.rng.random() > DULL_SHARE:
            return None
        choices = range(len(WORDS)) if is_word else range(len(WORDS), len(TEXTS))
        others = [text for text in choices if text not in shown]
        absent = not shown or self.rng.random() < 0.5
        among: Sequence[int] = others if absent else shown
        about = int(among[int(self.rng.integers(len(among)))])
        name = TEXTS[about]
        lead = "No, I have not" if absent else "Yes, I have"
        question = _choose((form,), self.rng, name)
        answer = f"{lead} seen the {kind} {name}."
        return Exchange(kind, question, answer, FIRST_TEXT + about, name, absent=absent)

    def _happened(self, kind: str) -> Exchange | None:
        if not self.chronicle.events:
            return self._put(kind, "Nothing happened.")
        event = self.chronicle.latest_event()
        if event is None or (event.what == "moved" and event.way < 0):
            return None
        way = f" {DIRECTIONS[event.way]}" if event.what == "moved" else ""
        answer = f"A {OBJECT_NAMES[event.obj]} {event.what}{way}."
        return self._put(kind, answer, event.obj)

    def _telling(self, kind: str) -> list[Run]:
        """The runs of what moved, or of what had company; for other kinds, all."""
        runs = self.chronicle.runs
        if kind == "moved":
            return [run for run in runs if len(run.places) > 1]
        return [run for run in runs if run.companions] if kind == "with" else runs

    def _of_object(self, kind: str) -> Exchange | None:
        runs = self.chronicle.runs
        telling = self._telling(kind)
        if not telling and self.rng.random() > DULL_SHARE:
            return None
        if telling and self.rng.random() < TELLING_SHARE:
            runs = telling
        if not runs or self.rng.random() < ABSENT_SHARE:
            about = self._absentee()
            if about < 0:
                return None
            answer = f"I have not seen a {OBJECT_NAMES[about]}."
        else:
            about = runs[self.rng.integers(len(runs))].obj
            found = answer_on(kind, self.chronicle, about)
            if found is None:
                return None
            answer = found
        name = OBJECT_NAMES[about]
        absent = about not in self.chronicle.seen
        topic = about if kind in ("where", "colour", "moved", "ago", "when") and not absent else -1
        question = phrase(kind, self.rng, name)
        return Exchange(kind, question, answer, about, name, topic, absent)

    def _follow_up(self, topic: int) -> Exchange | None:
        kinds = tuple(PRONOUNS)
        kind = kinds[self.rng.integers(len(kinds))]
        answer = answer_on(kind, self.chronicle, topic)
        if answer is None:
            return None
        question = _choose(PRONOUNS[kind], self.rng)
        word = "it" if " it" in question else "that"
        return Exchange("it", question, answer, topic, word, topic)


def answer_on(kind: str, chronicle: Chronicle, obj: int) -> str | None:
    """The answer to a question of `kind` about an object that was seen; None where there is no
    single right one."""
    runs = chronicle.runs_of(obj)
    name = OBJECT_NAMES[obj]
    if kind == "still":
        here = chronicle.last.place_of(obj) >= 0
        return f"Yes, the {name} is still there." if here else f"No, the {name} is gone."
    if kind == "ago":
        age = chronicle.age(obj)
        return None if age is None else f"I saw the {name} {AGE_NAMES[age]}."
    if kind == "moved":
        way = chronicle.moves_of(obj)
        if way is None:
            return None
        moved = f"moved {DIRECTIONS[way]}" if way < NOT_MOVED else "did not move"
        return f"The {name} {moved}."
    if len(runs) != 1:
        return None
    return _on_run(kind, chronicle, runs[0])


def _on_run(kind: str, chronicle: Chronicle, run: Run) -> str | None:
    name = OBJECT_NAMES[run.obj]
    if kind == "where":
        if len(run.places) != 1:
            return None
        return f"The {name} was {PLACE_PHRASES[PLACE_NAMES[run.places[0]]]}."
    if kind == "colour":
        if len(run.grounds) != 1:
            return None
        (ground,) = run.grounds
        return f"The background was {'a ' * (ground == PHOTO)}{GROUND_NAMES[ground]}."
    if kind == "with":
        if len(run.companions) > 1:
            return None
        what = listed(sorted(run.companions)) if run.companions else "nothing"
        return f"I saw {what} with the {name}."
    if kind == "when":
        third = chronicle.third(run)
        return None if third is None else f"I saw the {name} {THIRDS[third]}."
    other = chronicle.neighbour(run, 1 if kind == "after" else -1)
    if other is None:
        return None
    return f"I saw {listed([other]) if other >= 0 else 'nothing'} {kind} the {name}."


_ON_RUNS: Final = frozenset(
    {"where", "colour", "after", "before", "moved", "still", "with", "ago", "when"}
)
