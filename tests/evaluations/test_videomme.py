"""Video-MME: its files, its prompt, its scoring."""

from collections.abc import Callable
from pathlib import Path

import pytest

from evaluations import BENCHMARKS
from tests.evaluations.datasets import VIDEOMME_ROW, dump
from tests.evaluations.reading import read

ASKED = """\
Select the best answer to the following multiple-choice question based on the video. Respond with \
only the letter (A, B, C, or D) of the correct option.
How many squares are there?
A. None.
B. One.
C. Two.
D. Three.
The best answer is:"""


def test_rows_become_questions(dataset: Callable[[str], Path]) -> None:
    folder = dataset("videomme")
    items, skips = read("videomme", folder)
    assert not skips
    assert [item.id for item in items] == ["001-1", "001-2", "002-1"]
    first = items[0]
    assert first.prompt == ASKED
    assert (first.task, first.answer, first.letters) == ("Counting Problem", "B", "ABCD")
    assert first.groups == {"duration": "short", "domain": "Knowledge"}
    assert first.times == () and first.subtitles == ()
    assert first.video == folder / "data" / "fFjv93ACGo8.mp4"


def test_parquet_and_the_authors_own_form_are_the_same_questions(
    dataset: Callable[[str], Path], tmp_path: Path
) -> None:
    import pyarrow
    import pyarrow.parquet

    want, _ = read("videomme", dataset("videomme"))
    held = tmp_path / "parquet"
    (held / "videomme").mkdir(parents=True)
    rows = [{**VIDEOMME_ROW, "question_id": item.id, "answer": item.answer} for item in want]
    pyarrow.parquet.write_table(
        pyarrow.Table.from_pylist(rows), held / "videomme" / "test-00000-of-00001.parquet"
    )
    items, skips = read("videomme", held)
    assert not skips
    assert [(item.id, item.answer, item.options) for item in items] == [
        (item.id, item.answer, item.options) for item in want
    ]
    own = tmp_path / "own"
    asked = {key: VIDEOMME_ROW[key] for key in ("question_id", "task_type", "question", "answer")}
    video = {
        "video_id": "fFjv93ACGo8",
        "duration_category": "short",
        "video_category": "Knowledge",
        "video_sub_category": "Law",
        "questions": [{**asked, "choices": ["None.", "One.", "Two.", "Three."]}],
    }
    dump(own / "videomme.json", [video])
    items, skips = read("videomme", own)
    assert not skips
    assert items[0].prompt == ASKED
    assert items[0].groups == want[0].groups


def test_subtitles_stand_under_their_heading_where_there_are_some(
    dataset: Callable[[str], Path],
) -> None:
    folder = dataset("videomme")
    (folder / "subtitle").mkdir()
    srt = "1\n00:00:01,000 --> 00:00:02,000\n<i>h\xe9llo</i>\n"
    (folder / "subtitle" / "fFjv93ACGo8.srt").write_bytes(srt.encode("cp1252"))
    (folder / "subtitle" / "second.srt").write_bytes(b"")
    items, skips = read("videomme", folder, subtitles=True)
    assert items[0].heading == "This video's subtitles are listed below:"
    assert [cue.text for cue in items[0].subtitles] == ["héllo"]
    assert [skip.id for skip in skips] == ["videomme.json row 3"]
    assert "no subtitle with a time" in skips[0].detail


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"answer": "E"}, "'E'"),
        ({"answer": ""}, "answer"),
        ({"options": ["A. x"]}, "options"),
        ({"options": None}, "options"),
        ({"question": None}, "question"),
        ({"videoID": "../../etc/passwd", "video_id": "/x"}, "inside the folder"),
    ],
)
def test_a_row_that_cannot_be_asked_is_named(
    tmp_path: Path, change: dict[str, object], words: str
) -> None:
    dump(tmp_path / "videomme.json", [{**VIDEOMME_ROW, **change}, VIDEOMME_ROW, "no row"])
    items, skips = read("videomme", tmp_path)
    assert [item.id for item in items] == ["001-1"]
    assert [(skip.id, skip.reason) for skip in skips] == [
        ("videomme.json row 1", "malformed row"),
        ("videomme.json row 3", "malformed row"),
    ]
    assert words in skips[0].detail


@pytest.mark.parametrize(("said", "chosen", "score"), [("B", "B", 1), ("D.", "D", 0), ("?", "", 0)])
def test_the_letter_decides(
    dataset: Callable[[str], Path], said: str, chosen: str, score: float
) -> None:
    items, _ = read("videomme", dataset("videomme"))
    verdict = BENCHMARKS["videomme"].judge(items[0], [said])
    assert (verdict.chosen, verdict.score) == (chosen, score)
    assert BENCHMARKS["videomme"].leaves_out  # who names no option is not counted, as there
