"""What can be asked of a stream, and the right answers, as short English sentences.

Works on the list of what each frame shows; knows nothing about pixels or tensors.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from training.world import COLOUR_NAMES, NUMBERS, OBJECT_NAMES, PLACE_NAMES, PLACE_PHRASES

# `X` stands for an object's name.
PHRASINGS: Final[dict[str, tuple[str, ...]]] = {
    "now": (
        "what is it now?", "what do you see now?", "what do you see?", "what is this?",
        "what is in front of you?", "what is there right now?", "what are you looking at?",
        "what can you see right now?", "what is in front of the camera?",
    ),
    "seen": (
        "have you seen a X?", "did you see a X?", "was there a X?", "did a X appear?",
        "have you seen the X?", "did you ever see a X?",
    ),
    "after": (
        "what came right after the X?", "what came after the X?", "what did you see after the X?",
        "what was next after the X?", "what did you see right after the X?",
        "what was there after the X?",
    ),
    "before": (
        "what came right before the X?", "what came before the X?",
        "what did you see before the X?", "what was there before the X?",
        "what did you see right before the X?", "what was just before the X?",
    ),
    "first": (
        "what was the first thing you saw?", "what did you see first?", "what came first?",
        "what was the first thing?", "what was the first object?",
    ),
    "last": (
        "what was the last thing you saw?", "what did you see last?", "what came last?",
        "what was the last thing?", "what was the last object?",
    ),
    "where": (
        "where was the X?", "where did you see the X?", "where did the X appear?",
        "where have you seen the X?", "where in the picture was the X?",
    ),
    "colour": (
        "what colour was the background with the X?", "what color was the background with the X?",
        "what colour was the background behind the X?", "what colour was behind the X?",
        "which colour was the background of the X?", "what color was behind the X?",
    ),
    "count": (
        "how many different things have you seen?", "how many things have you seen?",
        "how many different things did you see?", "how many things did you see?",
        "how many different objects were there?", "how many different objects have you seen?",
    ),
    "future": (
        "what will come next?", "what will you see next?", "what comes next?", "what is next?",
        "what comes after this?", "what comes after that?", "what will come after this?",
        "what will happen next?", "what happens next?", "what is coming next?",
        "what will be there next?", "what will you see after this?", "what will you see later?",
        "what will be next?", "will you see a X next?", "will a X come next?",
    ),
}  # fmt: skip
KINDS: Final = tuple(PHRASINGS)

ANSWER_FORMS: Final = (
    "It is a X.", "I see nothing now.", "Yes, I have seen a X.", "No, I have not seen a X.",
    "I saw a X after the X.", "I saw nothing after the X.", "I saw nothing before the X.",
    "I have not seen a X.", "The first thing was a X.", "The last thing was a X.",
    "I have seen nothing.", "The background was red.", "I have seen one thing.",
    "I have seen two different things.", "I have not seen that yet.",
)  # fmt: skip


class Frame(NamedTuple):
    """What one frame shows: indices into the world's lists; `obj` -1 is an empty scene."""

    obj: int
    place: int
    colour: int


@dataclass(frozen=True, slots=True)
class Exchange:
    """One question and its right answer. `absent` marks a question on a false premise."""

    kind: str
    question: str
    answer: str
    absent: bool = False
    about: int = -1  # the object that the question names


def appearances(frames: Sequence[Frame]) -> list[Frame]:
    """The runs of one object, in order; empty stretches between two runs do not count."""
    runs: list[Frame] = []
    open_run = False
    for frame in frames:
        if frame.obj < 0:
            open_run = False
        elif not (open_run and runs[-1].obj == frame.obj):
            if not (runs and runs[-1].obj == frame.obj):
                runs.append(frame)
            open_run = True
    return runs


def phrase(kind: str, rng: np.random.Generator, obj: str = "") -> str:
    """A random phrasing of a question, its first letter sometimes a capital."""
    forms = PHRASINGS[kind]
    text = forms[rng.integers(len(forms))].replace("X", obj)
    return text[0].upper() + text[1:] if rng.random() < 0.5 else text


def ask(kind: str, frames: Sequence[Frame], rng: np.random.Generator) -> Exchange | None:
    """A question of `kind` on `frames`, or None where this stream allows none."""
    runs = appearances(frames)
    seen = {run.obj for run in runs}
    if kind == "now":
        obj = frames[-1].obj
        answer = f"It is a {OBJECT_NAMES[obj]}." if obj >= 0 else "I see nothing now."
        return Exchange(kind, phrase(kind, rng), answer)
    if kind in ("first", "last"):
        if not runs:
            return Exchange(kind, phrase(kind, rng), "I have seen nothing.")
        name = OBJECT_NAMES[runs[0 if kind == "first" else -1].obj]
        return Exchange(kind, phrase(kind, rng), f"The {kind} thing was a {name}.")
    if kind == "count":
        n = len(seen)
        if n >= len(NUMBERS):
            return None
        answer = (
            "I have seen nothing."
            if n == 0
            else (
                "I have seen one thing."
                if n == 1
                else f"I have seen {NUMBERS[n]} different things."
            )
        )
        return Exchange(kind, phrase(kind, rng), answer)
    if kind == "future":
        obj = int(rng.integers(len(OBJECT_NAMES)))
        question = phrase(kind, rng, OBJECT_NAMES[obj])
        named = OBJECT_NAMES[obj] in re.findall(r"\w+", question)
        return Exchange(kind, question, "I have not seen that yet.", about=obj if named else -1)

    absent = rng.random() < (0.5 if kind == "seen" else 0.15) or not seen
    if absent:
        others = [i for i in range(len(OBJECT_NAMES)) if i not in seen]
        about = others[rng.integers(len(others))]
        name = OBJECT_NAMES[about]
        lead = "No, I have not" if kind == "seen" else "I have not"
        return Exchange(kind, phrase(kind, rng, name), f"{lead} seen a {name}.", True, about)
    if kind == "seen":
        about = int(rng.choice(sorted(seen)))
        name = OBJECT_NAMES[about]
        answer = f"Yes, I have seen a {name}."
        return Exchange(kind, phrase(kind, rng, name), answer, about=about)

    # Only what appeared once has one right answer to the questions that remain.
    once = [i for i, run in enumerate(runs) if sum(r.obj == run.obj for r in runs) == 1]
    if not once:
        return None
    at = once[rng.integers(len(once))]
    name = OBJECT_NAMES[runs[at].obj]
    if kind == "where":
        answer = f"The {name} was {PLACE_PHRASES[PLACE_NAMES[runs[at].place]]}."
    elif kind == "colour":
        answer = f"The background was {COLOUR_NAMES[runs[at].colour]}."
    else:
        other = at + 1 if kind == "after" else at - 1
        found = 0 <= other < len(runs)
        what = f"a {OBJECT_NAMES[runs[other].obj]}" if found else "nothing"
        answer = f"I saw {what} {kind} the {name}."
    return Exchange(kind, phrase(kind, rng, name), answer, about=runs[at].obj)
