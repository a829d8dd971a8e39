"""MLVU: a file a task, the option's text as the answer, the mean of the tasks."""

from collections.abc import Callable
from pathlib import Path

import pytest

from evaluations import BENCHMARKS
from evaluations.errors import EvalError
from tests.evaluations.datasets import dump
from tests.evaluations.reading import read

ASKED = """\
Carefully watch this video and pay attention to every detail. Based on your observations, select \
the best option that accurately addresses the question.
Question: How often does it move?
Options:
(A) Once
(B) Twice
(C) Never
(D) Ten times
Only give the best option.
Best Option: ("""


def test_the_files_that_are_there_are_asked(dataset: Callable[[str], Path]) -> None:
    folder = dataset("mlvu")
    dump(folder / "json" / "9_summary.json", [{"video": "x.mp4", "question": "Summarise."}])
    items, skips = read("mlvu", folder)
    assert not skips
    assert [(item.id, item.task, item.answer) for item in items] == [
        ("1_plotQA/0", "plotQA", "C"),
        ("4_count/0", "count", "C"),
        ("4_count/1", "count", "A"),
    ]
    assert items[1].prompt == ASKED
    assert items[1].video == folder / "video" / "4_count" / "count_1.mp4"


def test_an_answer_that_is_no_candidate_is_named(tmp_path: Path) -> None:
    row = {
        "video": "a.mp4",
        "question": "?",
        "candidates": ["1", "2"],
        "answer": "3",
        "question_type": "count",
    }
    dump(tmp_path / "json" / "4_count.json", [row, {**row, "candidates": ["3", "3"]}])
    items, skips = read("mlvu", tmp_path)
    assert not items
    assert ["not one of its candidates" in skip.detail for skip in skips] == [True, True]


def test_a_folder_without_any_of_the_files_is_named(tmp_path: Path) -> None:
    with pytest.raises(EvalError, match=r"1_plotQA\.json"):
        read("mlvu", tmp_path)


@pytest.mark.parametrize(
    ("said", "score"), [("C) Never", 1), ("(C)", 1), ("C", 1), ("The answer is (A).", 0), ("?", 0)]
)
def test_what_stands_before_the_bracket_decides(
    dataset: Callable[[str], Path], said: str, score: float
) -> None:
    items, _ = read("mlvu", dataset("mlvu"))
    assert BENCHMARKS["mlvu"].judge(items[0], [said]).score == score


def test_every_task_counts_the_same() -> None:
    assert BENCHMARKS["mlvu"].overall({"count": [1, 1, 1], "ego": [0]}) == 0.5
