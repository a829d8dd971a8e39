"""Benchmarks are run by name and shown as they are or as JSON."""

import json
import sys
from collections.abc import Callable
from typing import Any

import pytest
from rich.console import Console

from benchmarks.errors import OptionError
from lookback import bench

FIGURES: dict[str, Any] = {
    "speedup": 5.12345,
    "shape": [1, 2],
    "points": [{"minutes": 1, "seconds": 0.5}, {"minutes": 60, "seconds": 0.25}],
}


def measure() -> dict[str, Any]:
    return FIGURES


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "BENCHMARKS", {"mine": measure})
    monkeypatch.setattr(sys.modules[__name__], "DESCRIPTION", "a measurement", raising=False)


@pytest.mark.usefixtures("known")
def test_json_is_the_one_thing_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.run("mine", json_wanted=True) == 0
    assert json.loads(capsys.readouterr().out) == FIGURES


@pytest.mark.usefixtures("known")
def test_names_are_listed_and_unknown_ones_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.run("list", json_wanted=False) == 0
    assert capsys.readouterr().out == "mine: a measurement\n"
    assert bench.run("yours", json_wanted=False) == 2
    assert "there are mine" in capsys.readouterr().err


def test_options_reach_the_benchmark_that_takes_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def long(hours: float = 24.0, progress: Callable[[str], None] = print) -> dict[str, Any]:
        if hours < 1:
            raise OptionError("hours must be at least 1")
        progress(f"{hours:g} hours")
        return {"hours": hours}

    monkeypatch.setattr(bench, "BENCHMARKS", {"long": long, "mine": measure})
    assert bench.run("long", json_wanted=True, options={"hours": 2.0, "seconds": None}) == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out) == {"hours": 2.0}
    assert shown.err == "long: 2 hours\n"
    assert bench.run("long", json_wanted=True, options={"hours": None}) == 0
    assert json.loads(capsys.readouterr().out) == {"hours": 24.0}
    assert bench.run("mine", json_wanted=True, options={"hours": 2.0}) == 2
    assert "mine takes no --hours; long does" in capsys.readouterr().err
    assert bench.run("long", json_wanted=True, options={"hours": 0.5}) == 2
    assert capsys.readouterr().err == "lookback: hours must be at least 1.\n"


def test_figures_are_shown_in_lines_and_tables() -> None:
    console = Console(record=True, width=80)
    bench.show(FIGURES, console)
    text = console.export_text()
    assert "speedup: 5.123" in text
    assert "minutes" in text
    assert "0.25" in text


def test_every_shipped_benchmark_says_what_it_measures() -> None:
    for name in bench.BENCHMARKS:
        assert bench._description(name) != name
