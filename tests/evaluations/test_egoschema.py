"""EgoSchema: 500 public answers, the rest for the authors' server."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from evaluations import BENCHMARKS
from evaluations.errors import EvalError
from tests.evaluations.datasets import dump
from tests.evaluations.reading import read

ASKED = """\
What is c doing?
A. C does thing 0.
B. C does thing 1.
C. C does thing 2.
D. C does thing 3.
E. C does thing 4.
Answer with the option's letter from the given choices directly."""


def test_public_and_hidden_answers_are_told_apart(dataset: Callable[[str], Path]) -> None:
    folder = dataset("egoschema")
    items, skips = read("egoschema", folder)
    assert not skips
    assert [(item.task, item.answer) for item in items] == [("hidden", None), ("subset", "D")]
    assert items[0].prompt == ASKED
    assert items[1].video == folder / "videos" / f"{items[1].id}.mp4"
    assert BENCHMARKS["egoschema"].tasks == ("subset",)


def test_an_answer_beyond_the_options_is_named(dataset: Callable[[str], Path]) -> None:
    folder = dataset("egoschema")
    items, _ = read("egoschema", folder)
    dump(folder / "subset_answers.json", {items[1].id: 5})
    _, skips = read("egoschema", folder)
    assert len(skips) == 1 and "0 to 4" in skips[0].detail


@pytest.mark.parametrize("text", ["[]", "{"])
def test_answers_that_are_no_map_are_named(dataset: Callable[[str], Path], text: str) -> None:
    folder = dataset("egoschema")
    (folder / "subset_answers.json").write_text(text)
    with pytest.raises(EvalError, match=r"subset_answers\.json"):
        read("egoschema", folder)


@pytest.mark.parametrize(
    ("said", "chosen"),
    [
        ("D", "D"),
        (" D. ", "D"),
        ("C does thing 3.", "D"),
        ("D. C does thing 3.", "D"),
        ("D. C does thing 3", "D"),
        ("The answer is D", ""),
        ("d", ""),
        ("F", ""),
    ],
)
def test_the_letter_or_the_option_and_nothing_else(
    dataset: Callable[[str], Path], said: str, chosen: str
) -> None:
    items, _ = read("egoschema", dataset("egoschema"))
    verdict = BENCHMARKS["egoschema"].judge(items[1], [said])
    assert (verdict.chosen, verdict.score) == (chosen, float(chosen == "D"))
    assert BENCHMARKS["egoschema"].judge(items[0], [said]).score is None


def test_the_submission_has_indices() -> None:
    records = [
        {"id": "a", "answer": None, "chosen": "C"},
        {"id": "b", "answer": "D", "chosen": ""},
    ]
    made = BENCHMARKS["egoschema"].predictions(records)
    assert made is not None and made[0] == ".submission.json"
    assert json.loads(made[1]) == {"a": 2, "b": -1}
    assert BENCHMARKS["egoschema"].predictions(records[1:]) is None
