"""Answers are those that the list of what each second showed gives, worked out another way."""

import re
from collections import Counter

import pytest

from benchmarks.recall.questions import AGES, KINDS, Question, examine, facts, recent_seconds
from benchmarks.recall.scenario import SCENARIOS
from benchmarks.recall.script import Script, Shot, Thing, write
from benchmarks.recall.world import COLOUR_NAMES, NAMES, NUMBERS, PLACE_NAMES

Seconds = list[tuple[frozenset[tuple[str, str]], str]]
"""By second: what is seen and where, and the ground."""


def watched(script: Script, until: int) -> Seconds:
    """Second by second, as somebody would note it down who sees nothing of the future."""
    notes: Seconds = []
    for second in range(until):
        (shot,) = [shot for shot in script.shots if shot.start <= second < shot.end]
        seen = frozenset((NAMES[thing.obj], PLACE_NAMES[thing.place]) for thing in shot.things)
        notes.append((seen, COLOUR_NAMES[shot.colour]))
    return notes


def right_answers(notes: Seconds, kind: str, name: str | None) -> set[str]:
    """All answers to a question of a kind about `name` that could be called right."""
    names = [{each for each, _ in seen} for seen, _ in notes]
    order: list[set[str]] = []
    for now in names:
        if now and (not order or order[-1] != now):
            order.append(now)
    seen = set().union(*names)
    if kind == "now":
        return {f"It is a {each}." for each in names[-1]} or {"I see nothing now."}
    if kind in ("first", "last"):
        what = order[0 if kind == "first" else -1] if order else set()
        return {f"The {kind} thing was a {each}." for each in what} or {"I have seen nothing."}
    if kind == "count":
        few = {0: "I have seen nothing.", 1: "I have seen one thing."}
        return {few.get(len(seen), f"I have seen {NUMBERS[len(seen)]} different things.")}
    if kind in ("seen", "absent"):
        yes = f"Yes, I have seen a {name}."
        return {yes if name in seen else f"No, I have not seen a {name}."}
    if kind == "where":
        return {f"The {name} was {at}." for shown, _ in notes for it, at in shown if it == name}
    if kind == "colour":
        return {
            f"The background was {colour}."
            for shown, colour in notes
            if any(it == name for it, _ in shown)
        }
    answers = set()
    for place, shown in enumerate(order):
        other = place + (1 if kind == "after" else -1)
        if name in shown and 0 <= other < len(order):
            answers |= {f"I saw a {each} {kind} the {name}." for each in order[other]}
        elif name in shown:
            answers.add(f"I saw nothing {kind} the {name}.")
    return answers


def named(text: str) -> str | None:
    found = [word for word in re.findall(r"\w+", text) if word in NAMES]
    return found[0] if found else None


def kind_of(question: Question) -> str:
    if question.kind != "follow_up":
        return question.kind
    for kind in ("after", "before"):
        if f"{kind} the" in question.text:
            return kind
    return "where" if question.text.lower().startswith("where") else "colour"


@pytest.mark.parametrize(
    ("name", "minutes"), [*((name, each) for name in SCENARIOS for each in (1, 5)), ("sudden", 15)]
)
def test_every_answer_is_the_only_right_one_at_its_second(name: str, minutes: int) -> None:
    script = write(SCENARIOS[name], 60 * minutes, 1, seed=1)
    for question in examine(script, 44):
        notes = watched(script, question.second)
        about = named(question.text)
        assert right_answers(notes, kind_of(question), about) == {question.answer}
        if question.before is not None:
            lead = "first" if "first" in question.before else ""
            lead = lead or ("after" if "after" in question.before else "before")
            said = right_answers(notes, lead, named(question.before))
            assert len(said) == 1
            assert about in re.findall(r"\w+", said.pop())


@pytest.mark.parametrize("name", SCENARIOS)
def test_what_comes_later_changes_nothing(name: str) -> None:
    script = write(SCENARIOS[name], 300, 0, seed=2)
    cut = 140
    shots = [
        Shot(shot.start, min(shot.end, cut), shot.things, shot.colour)
        for shot in script.shots
        if shot.start < cut
    ]
    other = Script(script.scenario, 300, script.seed, (*shots, Shot(cut, 300, (), 0)))
    for kind in KINDS:
        assert list(facts(script, cut, kind)) == list(facts(other, cut, kind))


def test_ages_count_from_when_it_was_last_seen() -> None:
    things = [(Thing(obj, 0),) for obj in range(3)]
    shots = (Shot(0, 10, things[0], 0), Shot(10, 50, things[1], 1), Shot(50, 300, things[2], 2))
    script = Script(SCENARIOS["busy"], 300, (1,), shots)
    found = {
        (question.second, named(question.text)): (question.age, question.seconds_ago)
        for question in examine(script, 600, ("where",))
    }
    assert recent_seconds(300) == 60
    for (second, name), (age, ago) in found.items():
        assert name is not None
        end = min(second, shots[NAMES.index(name)].end)
        assert ago == second - end
        assert age == ("present" if ago < 10 else "recent" if ago < 60 else "distant")
    assert {age for age, _ in found.values()} == {"present", "recent", "distant"}


@pytest.mark.parametrize(("seconds", "recent"), [(60, 30), (300, 60), (900, 90), (3600, 360)])
def test_the_distant_past_begins_later_in_a_longer_stream(seconds: int, recent: int) -> None:
    assert recent_seconds(seconds) == recent


def test_kinds_and_ages_come_up_alike() -> None:
    asked = [
        question
        for number in range(4)
        for question in examine(write(SCENARIOS["quiet"], 600, number, seed=0), 66)
    ]
    kinds = Counter(question.kind for question in asked)
    assert set(kinds) == set(KINDS)
    del kinds["count"]  # there are no words for more than sixteen
    assert max(kinds.values()) <= 1.2 * min(kinds.values())
    ages = Counter(question.age for question in asked)
    assert set(ages) == set(AGES)
    assert min(ages.values()) > 0.1 * len(asked)


def test_the_same_script_is_asked_the_same() -> None:
    script = write(SCENARIOS["several"], 120, 0, seed=0)
    assert examine(script, 30) == examine(script, 30)
    assert [q.second for q in examine(script, 30)] == sorted(q.second for q in examine(script, 30))
