"""What is finished is kept, line by line; what is broken is said or measured again."""

from pathlib import Path

import pytest

from benchmarks.errors import OptionError
from benchmarks.recall.cell import Asked, Cell, Result, StreamName
from benchmarks.recall.ledger import Ledger


def result(number: int, policy: str = "tar") -> Result:
    cell = Cell("m@1", policy, "1/8", "compact", StreamName("busy", 1.0, number, 0, 22), "noto")
    return Result(cell, [Asked("now", "present", 9, True, "It is a dog.")], 60, 7, 67, 10, 5, 0.5)


def test_what_was_added_is_there_in_the_next_run(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "recall.jsonl"
    first = Ledger(path)
    assert result(0).cell not in first
    first.add([result(0), result(1)])
    first.add([result(2)])
    again = Ledger(path)
    for number in range(3):
        assert again[result(number).cell] == first[result(number).cell] == result(number)
    assert result(3).cell not in again
    assert result(0, "van").cell not in again


def test_a_line_that_was_cut_off_is_measured_again(tmp_path: Path) -> None:
    path = tmp_path / "recall.jsonl"
    Ledger(path).add([result(0), result(1)])
    whole = path.read_text()
    path.write_text(whole[:-40])
    ledger = Ledger(path)
    assert result(0).cell in ledger
    assert result(1).cell not in ledger
    ledger.add([result(1)])
    assert path.read_text() == whole


def test_another_file_is_not_written_to(tmp_path: Path) -> None:
    path = tmp_path / "recall.jsonl"
    for text in ("a shopping list\n", '{"cell": {}}\n', "[]\n"):
        path.write_text(text)
        with pytest.raises(OptionError, match="line 1 is no result of this benchmark"):
            Ledger(path)
        assert path.read_text() == text
    with pytest.raises(OptionError, match="cannot be written"):
        Ledger(path / "beneath.jsonl")


def test_without_a_path_nothing_is_kept() -> None:
    ledger = Ledger(None)
    ledger.add([result(0)])
    assert result(0).cell in ledger
    assert result(0).cell not in Ledger(None)
