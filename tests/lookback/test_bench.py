"""Benchmarks are run by name and shown as they are or as JSON."""

import json
import sys
from typing import Any

import pytest
from rich.console import Console

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
