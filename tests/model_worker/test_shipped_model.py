"""lookback-mini as it is shipped: what it promises, through the engine."""

import json

import av
import pytest

from model_worker.engine import Engine
from model_worker.settings import SHIPPED_MODEL
from training.world import COLOUR_NAMES, OBJECT_NAMES, PLACE_NAMES

SAMPLE = SHIPPED_MODEL.parent.parent / "samples" / "objects.mp4"


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine.load(SHIPPED_MODEL)


def test_it_is_small(engine: Engine) -> None:
    assert sum(file.stat().st_size for file in SHIPPED_MODEL.iterdir()) <= 40e6
    assert 3e6 <= sum(p.numel() for p in engine.adapter.model.parameters()) <= 15e6


def test_its_card_names_all_that_it_knows() -> None:
    card = (SHIPPED_MODEL / "README.md").read_text()
    for word in (*OBJECT_NAMES, *COLOUR_NAMES, *PLACE_NAMES):
        assert word in card, word


def test_with_the_whole_clip_in_memory_it_answers_nine_of_ten(engine: Engine) -> None:
    script = json.loads(SAMPLE.with_suffix(".json").read_text())
    questions = script["questions"]
    session = engine.open_session(budget_tokens=9 * 130, history_turns=0)
    right = 0
    second = 0
    with av.open(str(SAMPLE)) as clip:
        for picture in clip.decode(video=0):
            assert picture.time is not None
            if picture.time < second:
                continue
            while questions and questions[0]["at"] <= picture.time:
                asked = questions.pop(0)
                right += "".join(session.ask(asked["question"])) == asked["expected"]
            session.watch(picture.to_ndarray(format="rgb24"), picture.time)
            second += 1
    right += sum("".join(session.ask(q["question"])) == q["expected"] for q in questions)
    assert session.memory.compressions == 0
    assert right >= 0.9 * len(json.loads(SAMPLE.with_suffix(".json").read_text())["questions"])


def test_it_refuses_a_false_premise(engine: Engine) -> None:
    session = engine.open_session()
    with av.open(str(SAMPLE)) as clip:
        for picture in clip.decode(video=0):
            if picture.time is not None and picture.time % 1 < 1e-6 and picture.time < 10:
                session.watch(picture.to_ndarray(format="rgb24"), picture.time)
    assert "".join(session.ask("Where was the hammer?")) == "I have not seen a hammer."


@pytest.mark.parametrize(
    "question", ["What will come next?", "what will you see next?", "What comes after this?"]
)
def test_it_does_not_claim_to_know_the_future(engine: Engine, question: str) -> None:
    session = engine.open_session()
    with av.open(str(SAMPLE)) as clip:
        for picture in clip.decode(video=0):
            if picture.time is not None and picture.time % 1 < 1e-6 and picture.time < 20:
                session.watch(picture.to_ndarray(format="rgb24"), picture.time)
    assert "".join(session.ask(question)) == "I have not seen that yet."
