"""RVS: free answers at moments of a stream, in the form that a judge reads."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from evaluations import BENCHMARKS
from tests.evaluations.datasets import dump
from tests.evaluations.reading import read


def test_conversations_become_questions_at_their_times(dataset: Callable[[str], Path]) -> None:
    folder = dataset("rvs")
    items, skips = read("rvs", folder)
    assert not skips
    assert [(item.id, item.task, item.prompt, item.times) for item in items] == [
        ("ego/v1/0", "ego", "What moved?", (2.5,)),
        ("ego/v1/1", "ego", "And now?", (5.0,)),
        ("movie/v1/0", "movie", "What moved?", (2.5,)),
    ]
    assert items[0].video == folder / "ego" / "videos" / "v1.mp4"


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"question": "?", "answer": "!", "start_time": 3, "end_time": 2}, "before its start"),
        ({"question": "?", "answer": "!", "start_time": 3, "end_time": "shot_7"}, "no number"),
        ({"question": "?", "start_time": 0, "end_time": 2}, "answer"),
        (None, "conversations"),
    ],
)
def test_a_row_that_cannot_be_asked_is_named(tmp_path: Path, asked: object, words: str) -> None:
    row = {"video_id": "v1", "video_path": "v1.mp4", "conversations": asked and [asked]}
    dump(tmp_path / "ego" / "ego4d_oe.json", [row])
    items, skips = read("rvs", tmp_path)
    assert not items
    assert words in skips[0].detail


def test_predictions_are_lines_that_the_authors_script_reads() -> None:
    benchmark = BENCHMARKS["rvs"]
    record = {
        "id": "ego/v1/0",
        "answer": "A square.",
        "chosen": "It was a square.",
        "fields": {"question": "What moved?", "answer_type": "ego"},
    }
    made = benchmark.predictions([record, record])
    assert made is not None and made[0] == ".pred.json"
    assert [json.loads(line) for line in made[1].splitlines()] == [
        {
            "id": "ego/v1/0",
            "question": "What moved?",
            "answer": "A square.",
            "pred": "It was a square.",
            "answer_type": "ego",
        }
    ] * 2
