"""Streams are the same in every run, and leave room for questions with one right answer."""

from collections import Counter
from itertools import pairwise

import pytest

from benchmarks.recall.scenario import SCENARIOS
from benchmarks.recall.script import Script, write
from benchmarks.recall.world import NAMES, is_held_out
from training.phrasings import PHRASINGS
from training.world import COLOURS, OBJECT_NAMES, PLACE_PHRASES
from training.world import is_held_out as held_out_in_training


def of(name: str, seconds: int = 600, number: int = 0) -> Script:
    return write(SCENARIOS[name], seconds, number, seed=3)


@pytest.mark.parametrize("name", SCENARIOS)
@pytest.mark.parametrize("seconds", [30, 60, 3600])
def test_shots_fill_the_stream_and_no_object_follows_itself(name: str, seconds: int) -> None:
    script = of(name, seconds)
    assert script.shots[0].start == 0
    assert script.shots[-1].end == seconds
    assert all(a.end == b.start for a, b in pairwise(script.shots))
    assert all(shot.end > shot.start for shot in script.shots)
    events = [{thing.obj for thing in shot.things} for shot in script.shots if shot.things]
    assert all(not a & b for a, b in pairwise(events))
    assert len(set().union(*events)) <= len(NAMES) - 12  # some can always be asked for in vain


@pytest.mark.parametrize("name", SCENARIOS)
def test_objects_of_long_streams_that_come_once_are_spread_over_all_of_it(name: str) -> None:
    script = of(name, 3600)
    times = Counter(thing.obj for shot in script.shots for thing in shot.things)
    once = [
        shot.start for shot in script.shots if any(times[thing.obj] == 1 for thing in shot.things)
    ]
    assert len(once) >= 15
    assert min(once) < 900
    assert max(once) > 2700


def test_the_same_arguments_write_the_same_stream_and_others_another() -> None:
    assert of("busy") == of("busy")
    others = [of("busy", number=1), write(SCENARIOS["busy"], 600, 0, seed=4), of("sudden")]
    assert len({script.shots for script in (of("busy"), *others)}) == 4


def test_scenarios_differ_as_they_are_said_to() -> None:
    shots = {name: of(name, 3600).shots for name in SCENARIOS}

    def filled(name: str) -> float:
        return sum(shot.end - shot.start for shot in shots[name] if shot.things) / 3600

    assert len(shots["busy"]) > 2 * len(shots["quiet"])
    assert filled("busy") > 0.9 > 0.6 > filled("quiet")
    assert {len(shot.things) for shot in shots["several"]} == {0, 1, 2, 3}
    assert {len(shot.things) for shot in shots["busy"]} == {0, 1}
    still = [(shot.start // 120, shot.colour) for shot in shots["still"]]
    assert len(set(still)) <= 3 * 30  # a ground of one colour for a minute at least


def test_what_is_shown_training_never_showed() -> None:
    shown = [
        is_held_out(thing.obj, thing.place, shot.colour)
        for name in ("busy", "quiet", "moving", "sudden", "small")
        for shot in of(name).shots
        for thing in shot.things
    ]
    assert all(shown)


def test_the_world_is_still_the_one_that_models_were_trained_on() -> None:
    assert tuple(OBJECT_NAMES[: len(NAMES)]) == NAMES
    assert all(
        is_held_out(obj, place, colour) == held_out_in_training(obj, place, colour)
        for obj in range(len(NAMES))
        for place in range(5)
        for colour in range(8)
    )
    from benchmarks.recall import questions, world

    assert set(world.COLOURS) <= set(COLOURS)
    assert set(world.PLACES) <= set(PLACE_PHRASES.values())
    for kind, forms in questions.PHRASINGS.items():
        known = {form.lower() for form in PHRASINGS[kind]}
        assert {form.lower() for form in forms} <= known
