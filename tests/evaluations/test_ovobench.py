"""OVO-Bench: three modes, each question at its moment."""

from collections.abc import Callable
from pathlib import Path

import pytest

from evaluations import BENCHMARKS
from evaluations.item import Item
from tests.evaluations.datasets import OVO_ROW, clip, dump
from tests.evaluations.reading import read


def test_every_mode_becomes_questions_at_their_times(dataset: Callable[[str], Path]) -> None:
    folder = dataset("ovobench")
    items, skips = read("ovobench", folder)
    assert not skips
    assert [(item.id, item.task, item.answer, item.times) for item in items] == [
        ("0", "EPM", "B", (4.0,)),
        ("1", "OCR", "A", (2.0,)),
        ("2_0", "REC", "0", (1.0,)),
        ("2_1", "REC", "2", (5.0,)),
        ("3_0", "SSR", "Yes", (3.0,)),
        ("4_0", "CRR", "No", (1.0,)),
        ("4_1", "CRR", "Yes", (20.0,)),
    ]
    assert [item.groups["mode"] for item in items] == ["backward", "realtime"] + ["forward"] * 5
    assert items[0].video == folder / "src_videos" / "Ego4D" / "clips" / "a.mp4"
    assert items[0].prompt.startswith(
        "Question: What did I chop?\nOptions:\nA. eggplant; B. meat; C. onion; D. carrot;\n\n"
    )
    assert "How many times did they raise the square?" in items[2].prompt
    assert "procedures:\nlift it\n" in items[4].prompt
    assert "the end of the video.\nWhere does it end?\n" in items[5].prompt


def test_pieces_are_taken_where_the_videos_are_not_there(tmp_path: Path) -> None:
    dump(tmp_path / "ovo_bench_new.json", [OVO_ROW])
    clip(tmp_path / "chunked_videos" / "0.mp4", 1)
    items, _ = read("ovobench", tmp_path)
    assert items[0].video == tmp_path / "chunked_videos" / "0.mp4"
    assert items[0].times == ()  # the piece ends when the question is asked


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"task": "XYZ"}, "XYZ"),
        ({"gt": 4}, "options are 4"),
        ({"gt": None}, "gt"),
        ({"realtime": -3}, "0 or more"),
        ({"options": []}, "options"),
        ({"task": "CRR", "test_info": [{"realtime": 1, "type": 2}]}, "0 or 1"),
        ({"task": "REC"}, "test_info"),
        ({"task": "REC", "activity": "x", "test_info": [{"realtime": 1}]}, "count"),
        ({"video": "/root/a.mp4"}, "inside the folder"),
    ],
)
def test_a_row_that_cannot_be_asked_is_named(
    tmp_path: Path, change: dict[str, object], words: str
) -> None:
    dump(tmp_path / "ovo_bench_new.json", [{**OVO_ROW, **change}])
    items, skips = read("ovobench", tmp_path)
    assert not items
    assert words in skips[0].detail


@pytest.mark.parametrize(
    ("task", "right", "said", "score"),
    [
        ("EPM", "B", "B", 1),
        ("EPM", "B", "A or B", 1),  # anywhere in the answer, as its own script has it
        ("EPM", "B", "b", 0),
        ("EPM", "B", "", 0),
        ("REC", "12", "12 times", 1),
        ("REC", "12", "1 or 2", 1),  # all digits joined, as its own script has it
        ("REC", "0", "none", 0),
        ("SSR", "Yes", "Yes, they are", 1),
        ("SSR", "Yes", "Y", 1),
        ("SSR", "No", "Not now", 1),
        ("CRR", "No", "Yes", 0),
        ("CRR", "No", "", 0),
    ],
)
def test_scores_are_those_of_its_own_script(task: str, right: str, said: str, score: float) -> None:
    options = ("x", "y", "z") if task == "EPM" else ()
    item = Item("1", task, Path("a.mp4"), "?", right, options)
    verdict = BENCHMARKS["ovobench"].judge(item, [said])
    assert verdict.score == score
    assert bool(verdict.chosen) == (said not in ("", "b", "none"))
