"""The results file: it outlives crashes and refuses to mix."""

import json
from pathlib import Path
from typing import Any

import pytest

from evaluations.errors import EvalError
from evaluations.results import Results

ABOUT: dict[str, Any] = {"benchmark": "mlvu", "model": "m", "policy": "tar", "budget_tokens": 216}


def test_answers_are_there_again(tmp_path: Path) -> None:
    path = tmp_path / "new" / "r.jsonl"
    with Results(path, ABOUT) as results:
        results.add({"id": "a", "responses": ["É"]})
        assert "É" in path.read_text("utf-8")  # on disk before anything else happens
        results.grade({"graded": "a", "by": "j", "yes": True, "mark": 4})
    with Results(path, ABOUT) as results:
        assert results.records == {"a": {"id": "a", "responses": ["É"]}}
        assert results.grades["a"]["mark"] == 4
        assert not results.mended
        assert results.beside(".pred.json") == tmp_path / "new" / "r.pred.json"


@pytest.mark.parametrize("cut", [1, 2, 10])
def test_a_line_that_was_cut_off_is_taken_away(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "r.jsonl"
    with Results(path, ABOUT) as results:
        results.add({"id": "a"})
        results.add({"id": "bé"})
    path.write_bytes(path.read_bytes()[:-cut])
    with Results(path, ABOUT) as results:
        assert list(results.records) == ["a"]
        assert results.mended
        results.add({"id": "c"})
    with Results(path, ABOUT) as results:
        assert list(results.records) == ["a", "c"]


def test_a_header_that_was_cut_off_is_written_again(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    path.write_text('{"format": "lookb')
    with Results(path, ABOUT) as results:
        results.add({"id": "a"})
    with Results(path, ABOUT) as results:
        assert list(results.records) == ["a"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"policy": "recency"}, "policy 'tar'.*'recency'.*--policy tar"),
        ({"budget_tokens": 54}, "--budget 216"),
        ({"model": "other"}, "--model m"),
        ({"benchmark": "rvs"}, "another --out"),
        ({"fps": 2.0}, "fps None"),
    ],
)
def test_results_of_another_run_are_not_mixed(
    tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    path = tmp_path / "r.jsonl"
    with Results(path, ABOUT) as results:
        results.add({"id": "a"})
    before = path.read_bytes()
    with pytest.raises(EvalError, match=words):
        Results(path, ABOUT | change)
    assert path.read_bytes() == before


@pytest.mark.parametrize("text", ["not ours\n", "[]\n", '{"a": 1}\n', "{}\n"])
def test_another_file_is_left_alone(tmp_path: Path, text: str) -> None:
    path = tmp_path / "r.jsonl"
    path.write_text(text)
    with pytest.raises(EvalError, match="another --out"):
        Results(path, ABOUT)
    assert path.read_text() == text


@pytest.mark.parametrize("line", ["{", "3", '{"neither": 1}'])
def test_damage_in_the_middle_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "r.jsonl"
    Results(path, ABOUT).__exit__(None, None, None)
    path.write_text(path.read_text() + line + "\n" + json.dumps({"id": "b"}) + "\n")
    with pytest.raises(EvalError, match="line 2"):
        Results(path, ABOUT)


def test_two_runs_do_not_write_at_once(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    with Results(path, ABOUT), pytest.raises(EvalError, match="another run"):
        Results(path, ABOUT)


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EvalError, match="--out"):
        Results(tmp_path / "file" / "r.jsonl", ABOUT)
    with pytest.raises(EvalError, match="--out"):
        Results(tmp_path, ABOUT)
