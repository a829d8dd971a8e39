"""LongVideoBench: its files, subtitles of a clip cut from a longer video, random for no letter."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from evaluations import BENCHMARKS
from tests.evaluations.datasets import LVB_ROW, dump
from tests.evaluations.reading import read

ASKED = """\
Question: What moves when the subtitle says 'three'?
A. a square
B. a circle
C. a dog
D. a cat
E. nothing
Answer with the option's letter from the given choices directly."""


def test_rows_become_questions(dataset: Callable[[str], Path]) -> None:
    folder = dataset("longvideobench")
    items, skips = read("longvideobench", folder, subtitles=True)
    assert not skips
    assert [(item.id, item.task, item.answer) for item in items] == [
        ("86CxyhFV9MI_0", "T2O", "A"),
        ("86CxyhFV9MI_1", "O3O", "E"),
    ]
    assert items[0].prompt == ASKED
    assert items[0].groups == {"duration": "15 s"}
    assert [(cue.start, cue.text) for cue in items[0].subtitles] == [(1.0, "one"), (3.0, "three")]
    assert items[0].video == folder / "videos" / "86CxyhFV9MI.mp4"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"correct_choice": 5}, "options are 5"),
        ({"correct_choice": "A"}, "no number"),
        ({"candidates": "a square"}, "candidates"),
        ({"subtitle_path": "none.json"}, "no subtitles"),
        ({"starting_timestamp_for_subtitles": None}, "starting_timestamp"),
    ],
)
def test_a_row_that_cannot_be_asked_is_named(
    dataset: Callable[[str], Path], change: dict[str, object], words: str
) -> None:
    folder = dataset("longvideobench")
    dump(folder / "lvb_val.json", [{**LVB_ROW, **change}])
    items, skips = read("longvideobench", folder, subtitles=True)
    assert not items
    assert words in skips[0].detail


def test_damaged_subtitles_are_not_left_out_in_silence(dataset: Callable[[str], Path]) -> None:
    folder = dataset("longvideobench")
    (folder / "subtitles" / "86CxyhFV9MI_en.json").write_bytes(b'[{"line": "\xff')
    items, skips = read("longvideobench", folder, subtitles=True)
    assert not items and len(skips) == 2
    assert len(read("longvideobench", folder)[0]) == 2  # they are not asked for


def test_no_letter_is_a_random_option_that_stays_the_same(dataset: Callable[[str], Path]) -> None:
    items, _ = read("longvideobench", dataset("longvideobench"))
    judge = BENCHMARKS["longvideobench"].judge
    assert judge(items[0], ["A"]).score == 1
    assert judge(items[1], ["A"]).score == 0
    drawn = [judge(item, ["?"]) for item in items]
    assert [verdict.chosen for verdict in drawn] == ["", ""]
    assert drawn == [judge(item, ["no idea"]) for item in items]


def test_the_test_set_gives_predictions_only(dataset: Callable[[str], Path]) -> None:
    folder = dataset("longvideobench")
    (folder / "lvb_val.json").unlink()
    row = {name: value for name, value in LVB_ROW.items() if name != "correct_choice"}
    dump(folder / "lvb_test_wo_gt.json", [row])
    items, _ = read("longvideobench", folder)
    benchmark = BENCHMARKS["longvideobench"]
    assert items[0].answer is None
    assert benchmark.judge(items[0], ["B"]).score is None
    made = benchmark.predictions([{"id": "x", "answer": None, "responses": ["B"]}])
    assert made is not None and made[0] == ".submission.json"
    assert json.loads(made[1]) == {"x": "B"}
    assert benchmark.predictions([{"id": "x", "answer": "B", "responses": ["B"]}]) is None
