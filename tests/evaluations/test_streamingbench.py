"""StreamingBench: a file a part, times as clocks, context for sequential questions, polls."""

from collections.abc import Callable
from pathlib import Path

import pytest

from evaluations import BENCHMARKS
from tests.evaluations.datasets import STREAMING_ROW, clip, table
from tests.evaluations.reading import read

QUESTION = """\
Question: What is on the left right now?

Options:
A. A dog.
B. A cat.
C. It's a square.
D. Nothing.

The best option is:"""


def test_every_part_becomes_questions_at_their_times(dataset: Callable[[str], Path]) -> None:
    folder = dataset("streamingbench")
    items, skips = read("streamingbench", folder)
    assert not skips
    assert [(item.id[-10:], item.answer, item.times) for item in items] == [
        ("sample_1_1", "C", (2.0,)),
        ("sample_1_2", "C", (5.0,)),
        ("sample_1_1", "C", (1.0,)),
        ("sample_1_2", "C", (2.0,)),
        ("sample_1_1", "3", (2.0, 3.0, 4.0, 5.0, 6.0, 7.0)),
    ]
    assert items[0].prompt.endswith(QUESTION)
    assert [item.groups["part"] for item in items] == ["real", "real", "sqa", "sqa", "proactive"]
    assert [item.video.relative_to(folder).parts[0] for item in items] == [
        "Real-Time Visual Understanding",
        "Real-Time Visual Understanding",
        "Sequential Question Answering",
        "Sequential Question Answering",
        "proactive",
    ]


def test_sequential_questions_are_told_of_those_before(dataset: Callable[[str], Path]) -> None:
    items, _ = read("streamingbench", dataset("streamingbench"))
    first, second = (item for item in items if item.groups["part"] == "sqa")
    told = "At timestamp 0:00:01, the following question and answer occurred: "
    assert told not in first.prompt
    assert told in second.prompt
    assert "Answer: C; " in second.prompt
    assert second.prompt.endswith(QUESTION)


def test_a_sample_of_another_part_is_not_taken_for_it(tmp_path: Path) -> None:
    table(tmp_path / "Real_Time_Visual_Understanding.csv", [STREAMING_ROW])
    mine = clip(tmp_path / "sample_1" / "video.mp4", 1)
    assert read("streamingbench", tmp_path)[0][0].video == mine  # nothing else it could be of
    omni = {**STREAMING_ROW, "question_id": "Omni-Source Understanding_sample_1_1"}
    table(tmp_path / "Omni_Source_Understanding.csv", [omni])
    items, _ = read("streamingbench", tmp_path)
    assert not any(item.video.is_file() for item in items)
    named = clip(tmp_path / "videos" / "sample_1_real.mp4", 1)  # as preprocess.sh names them
    assert read("streamingbench", tmp_path)[0][0].video == named


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"question_id": "7"}, "names no sample"),
        ({"question_id": "../x_sample_1_1"}, "inside the folder"),
        ({"task_type": "/y"}, "inside the folder"),
        ({"time_stamp": "soon"}, "no time"),
        ({"options": "A. x"}, "options"),
        ({"options": "__import__('os')"}, "options"),
        ({"answer": "E"}, "'E'"),
        ({"answer": ""}, "answer"),
    ],
)
def test_a_row_that_cannot_be_asked_is_named(
    tmp_path: Path, change: dict[str, object], words: str
) -> None:
    table(tmp_path / "Real_Time_Visual_Understanding.csv", [{**STREAMING_ROW, **change}])
    items, skips = read("streamingbench", tmp_path)
    assert not items
    assert words in skips[0].detail


@pytest.mark.parametrize(
    ("said", "score"), [("C", 1), ("C. It's", 1), (" C", 1), ("(C)", 0), ("A", 0), ("", 0)]
)
def test_the_first_character_decides(
    dataset: Callable[[str], Path], said: str, score: float
) -> None:
    items, _ = read("streamingbench", dataset("streamingbench"))
    assert BENCHMARKS["streamingbench"].judge(items[0], [said]).score == score


@pytest.mark.parametrize(
    ("said", "chosen", "score"),
    [
        (["Yes."], "2", 1.0),
        (["no", "no", "no", "yes"], "5", 1.0),
        (["no"] * 4 + ["Yes"], "6", 0.0),
        (["no"] * 6, "", 0.0),
    ],
)
def test_a_proactive_answer_comes_in_time(
    dataset: Callable[[str], Path], said: list[str], chosen: str, score: float
) -> None:
    items, _ = read("streamingbench", dataset("streamingbench"))
    verdict = BENCHMARKS["streamingbench"].judge(items[-1], said)
    assert (verdict.chosen, verdict.score) == (chosen, score)
