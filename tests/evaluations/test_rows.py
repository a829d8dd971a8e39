"""Annotation files are read as they are, and what is wrong with a row or a file is said."""

import sys
from pathlib import Path

import pytest

from evaluations.errors import EvalError
from evaluations.rows import Row, RowError, read_csv, read_json, read_parquet, required, video


def test_fields_are_checked() -> None:
    row = Row(
        {"a": " x ", "n": 3, "list": ["1", "2"], "written": "['x', \"it's\"]", "t": "1:02:03"}
    )
    assert row.text("a") == "x"
    assert row.text("missing", "n") == "3"
    assert row.texts("list") == ("1", "2")
    assert row.texts("written") == ("x", "it's")
    assert row.number("n") == 3
    assert row.clock("t") == 3723
    assert Row({"t": "02:03"}).clock("t") == 123
    assert row.choice("n", "abcd") == "D"
    assert Row({"a": "b."}).letter("a", "xyz") == "B"


@pytest.mark.parametrize(
    ("raw", "read", "words"),
    [
        ({}, lambda row: row.text("q"), "no `q`"),
        ({"q": "  "}, lambda row: row.text("q"), "no `q`"),
        ({"q": True}, lambda row: row.text("q"), "no `q`"),
        ({"o": ["x"]}, lambda row: row.texts("o"), "fewer than two"),
        ({"o": ["x", ""]}, lambda row: row.texts("o"), "empty"),
        ({"o": "[1, "}, lambda row: row.texts("o"), "no list"),
        ({"o": 3}, lambda row: row.texts("o"), "no list"),
        ({"n": "soon"}, lambda row: row.number("n"), "no number"),
        ({"n": -1}, lambda row: row.number("n"), "0 or more"),
        ({"n": float("nan")}, lambda row: row.number("n"), "0 or more"),
        ({"n": 4}, lambda row: row.choice("n", "abcd"), "options are 4"),
        ({"n": 0.5}, lambda row: row.choice("n", "abcd"), "options are 4"),
        ({"a": "E"}, lambda row: row.letter("a", "abcd"), "ABCD"),
        ({"t": "1:2:3:4"}, lambda row: row.clock("t"), "no time"),
        ({"t": "-5"}, lambda row: row.clock("t"), "no time"),
        ({"r": []}, lambda row: row.rows("r"), "no list"),
        ({"r": [3]}, lambda row: row.rows("r"), "no record"),
    ],
)
def test_what_is_wrong_with_a_row_is_said(raw: object, read: object, words: str) -> None:
    with pytest.raises(RowError, match=words):
        read(Row(raw))  # type: ignore[operator]


def test_a_row_is_a_record() -> None:
    with pytest.raises(RowError, match="no record"):
        Row(["a"])


def test_files_are_asked_for_by_name(tmp_path: Path) -> None:
    with pytest.raises(EvalError, match="--data"):
        required(tmp_path / "none", "a.json")
    with pytest.raises(EvalError, match=r"has no a\.json, b\.json.*--list"):
        required(tmp_path, "a.json", "b.json")
    (tmp_path / "b.json").write_text("[]")
    assert required(tmp_path, "a.json", "b.json") == tmp_path / "b.json"


@pytest.mark.parametrize("content", [b"{", b"{}", b"\xff\xfe{"])
def test_json_that_is_no_list_is_named(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "a.json"
    file.write_bytes(content)
    with pytest.raises(EvalError, match=r"a\.json"):
        read_json(file)


def test_lines_of_json_are_rows(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text('{"a": 1}\n\n{"a": 2}\n')
    assert read_json(file) == [{"a": 1}, {"a": 2}]


def test_a_csv_that_is_no_text_is_named(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_bytes(b"a,b\n\xff\xfe,1\n")
    with pytest.raises(EvalError, match=r"a\.csv"):
        read_csv(file)


def test_parquet_is_read_and_what_is_none_is_named(tmp_path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    file = tmp_path / "a.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"a": ["x"], "options": [["1", "2"]]}), file)
    assert read_parquet(file, "") == [{"a": "x", "options": ["1", "2"]}]
    file.write_bytes(b"PAR1 and nothing else")
    with pytest.raises(EvalError, match=r"a\.parquet"):
        read_parquet(file, "")


def test_without_pyarrow_it_is_said_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(EvalError, match=r"lookback\[parquet\].*, or write it as JSON"):
        read_parquet(tmp_path / "a.parquet", "write it as JSON")


def test_a_video_has_one_of_several_endings_and_stays_in_its_folder(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "x.mkv").write_bytes(b"")
    (tmp_path / "secret.mp4").write_bytes(b"")
    folders = (tmp_path / "a", tmp_path / "b")
    assert video(folders, "x") == tmp_path / "b" / "x.mkv"
    assert video(folders, "y") == tmp_path / "a" / "y.mp4"
    assert video(folders, "y.mkv") == tmp_path / "a" / "y.mkv"
    for name in ("../secret.mp4", "/etc/passwd"):
        with pytest.raises(RowError, match="inside the folder"):
            video(folders, name)
    with pytest.raises(RowError, match="too long"):
        video(folders, "x" * 5000)
