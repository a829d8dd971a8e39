"""The clip's scenes are what their list says, and what is asked of them has the right answers."""

from itertools import islice, pairwise

import pytest

from benchmarks.scenes import (
    KINDS,
    RECENT_SECONDS,
    Scene,
    Stream,
    object_of,
    read_scenes,
    right,
)
from model_worker.decoding import Sampling
from model_worker.engine import Engine
from model_worker.settings import SHIPPED_MODEL
from training.chronicle import Chronicle
from training.sight import Sight
from training.world import OBJECT_NAMES, PLACE_NAMES, PLACE_PHRASES


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return read_scenes((96, 96), 96 * 96)


def test_each_scene_shows_what_its_list_says(scenes: list[Scene]) -> None:
    """As filmed and changed over: the shipped model names the object and its place."""
    engine = Engine.load(SHIPPED_MODEL, threads=1)
    asked = correct = 0
    for scene in scenes:
        session = engine.open_session(history_turns=0)
        session.watch_many(scene.pictures[::8], [float(i) for i in range(len(scene.pictures[::8]))])
        expected = {"what is it now?": "I see nothing now."}
        if scene.shows.things:
            [thing] = scene.shows.things
            name = OBJECT_NAMES[thing.obj]
            place = PLACE_PHRASES[PLACE_NAMES[thing.place]]
            expected = {
                "what is it now?": f"It is a {name}.",
                f"where was the {name}?": f"The {name} was {place}.",
            }
        for question, answer in expected.items():
            said = "".join(session.ask(question, Sampling(max_tokens=16)))
            asked, correct = asked + 1, correct + right(said, answer)
        session.close()
    assert len(scenes) == 26  # 3 empty ones, 3 in the middle, 10 on a side, twice
    assert correct >= 0.9 * asked


def test_a_seed_plays_one_stream(scenes: list[Scene]) -> None:
    def shown(seed: int) -> list[Sight]:
        stream = Stream(scenes, seed)
        for _ in range(200):
            stream.next()
        return list(stream.shown)

    assert shown(3) == shown(3)
    assert shown(3) != shown(4)


def test_no_object_comes_back_before_all_others_were_shown(scenes: list[Scene]) -> None:
    stream, shown = Stream(scenes, 1), []
    for _ in range(4000):
        stream.next()
        shown.append(stream.shown[-1])
    runs = [run.obj for run in Chronicle(shown).runs]
    deals = [runs[i : i + 13] for i in range(0, len(runs) - 13, 13)]
    assert len(deals) > 10
    assert all(len(set(deal)) == 13 for deal in deals)
    assert all(one != other for one, other in pairwise(runs))
    assert len({tuple(deal) for deal in deals}) == len(deals)


@pytest.mark.parametrize("kind", KINDS)
def test_answers_are_right_about_the_last_minutes(scenes: list[Scene], kind: str) -> None:
    stream, whole, asked = Stream(scenes, 2), [], 0
    for second in range(3000):
        stream.next()
        whole.append(stream.shown[-1])
        question = stream.question(kind) if second > RECENT_SECONDS and second % 20 == 0 else None
        if question is None:
            continue
        asked += 1
        recent = whole[-RECENT_SECONDS:]
        places = [i for i, frame in enumerate(recent) if object_of(frame) == question.about]
        if kind in ("now", "last"):
            named = next(
                (f for f in islice(reversed(recent), 1 if kind == "now" else None) if f.things),
                None,
            )
            name = OBJECT_NAMES[object_of(named)] if named else "nothing"
            assert name in question.answer
        elif kind == "never":
            assert question.about not in {object_of(frame) for frame in whole}
            assert question.answer.startswith("No")
        elif kind == "seen":
            assert places
            assert question.answer.startswith("Yes")
        else:
            assert places[-1] - places[0] == len(places) - 1, "shown once"
            if kind == "where":
                [thing] = recent[places[0]].things
                assert PLACE_PHRASES[PLACE_NAMES[thing.place]] in question.answer
            if kind in ("before", "after"):
                later = kind == "after"
                beside = recent[places[-1] + 1 :] if later else recent[: places[0]][::-1]
                neighbour = next(object_of(frame) for frame in beside if frame.things)
                assert f"a {OBJECT_NAMES[neighbour]} {kind}" in question.answer
    assert asked > 20


def test_case_and_punctuation_make_no_difference() -> None:
    assert right("it is a DOG", "It is a dog.")
    assert not right("It is a cat.", "It is a dog.")
