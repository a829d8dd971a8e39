"""The whole benchmark on a tiny case: its rows, its resuming and what it refuses."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from benchmarks.errors import OptionError
from benchmarks.recall import run
from lookback.cli import app
from model_worker.memory.policies.recency import Recency
from model_worker.settings import SHIPPED_MODEL

TINY: dict[str, Any] = {
    "minutes": 0.5,
    "scenarios": "busy,quiet",
    "policies": "tar",
    "budgets": "full,1/4",
    "questions": 8,
    "streams": 2,
    "jobs": 1,
}
COLUMNS = {
    "policy", "budget", "minutes", "age", "kind", "accuracy", "low", "high", "questions",
    "kv_bytes", "seconds_per_frame", "seconds_per_pass",
}  # fmt: skip


def timeless(figures: dict[str, Any]) -> dict[str, Any]:
    """The figures without what depends on the clock."""
    rows = [
        {name: value for name, value in row.items() if not name.startswith("seconds_per")}
        for row in figures["rows"]
    ]
    return figures | {"rows": rows}


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return run(**TINY, out=tmp_path_factory.mktemp("straight") / "recall.json")


def test_rows_have_what_they_must(straight: dict[str, Any]) -> None:
    assert all(set(row) >= COLUMNS for row in straight["rows"])
    whole = [row for row in straight["rows"] if row["age"] == row["kind"] == "all"]
    assert [(row["policy"], row["budget"]) for row in whole] == [("full", "full"), ("tar", "1/4")]
    for row in whole:
        assert 24 <= row["questions"] <= 32
        assert row["low"] < row["accuracy"] <= row["high"] <= 1
    assert whole[0]["accuracy"] > 0.6
    assert whole[0]["kv_bytes"] > whole[1]["kv_bytes"]
    assert straight["streams"] == 4
    assert {row["against"] for row in straight["paired"]} == {"full"}


def test_an_interrupted_run_goes_on_to_the_same_rows(
    straight: dict[str, Any], tmp_path: Path
) -> None:
    out = tmp_path / "recall.json"

    def interrupt(text: str) -> None:
        if text.startswith("2 of"):
            raise KeyboardInterrupt

    part = run(**TINY, out=out, progress=interrupt)
    assert part["interrupted"] is True
    assert sum(row["questions"] for row in part["rows"]) > 0
    lines = out.with_suffix(".jsonl").read_text().splitlines()
    assert len(lines) == 4  # two streams of two cells
    told: list[str] = []
    figures = run(**TINY, out=out, progress=told.append)
    assert told[0] == "2 of 4 streams to watch"
    assert out.with_suffix(".jsonl").read_text().splitlines()[:4] == lines
    assert timeless(figures) == timeless(straight)
    assert json.loads(out.read_text()) == json.loads(json.dumps(figures))
    assert run(**TINY, out=out) == figures  # nothing is measured again, not even times
    assert {path.name for path in tmp_path.iterdir()} == {
        "recall.json", "recall.jsonl", "recall-budget.svg", "recall-age.svg",
    }  # fmt: skip


def test_two_processes_come_to_the_same_rows(straight: dict[str, Any]) -> None:
    assert timeless(run(**TINY | {"jobs": 2}, out=None)) == timeless(straight)


def test_a_policy_from_python_is_measured_under_its_name(straight: dict[str, Any]) -> None:
    given = {"mine": Recency(), "recency": None}
    figures = run(**TINY | {"policies": given, "streams": 1, "budgets": "1/4"}, out=None)
    mine, known = (
        [row["accuracy"] for row in figures["rows"] if row["policy"] == name] for name in given
    )
    assert mine == known


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"policies": "tra"}, "there is no policy 'tra'; there are .*tar"),
        ({"budgets": "1/8,9"}, "a budget must be full or a share"),
        ({"minutes": "1,x"}, "minutes must be numbers from 0.5 to 600"),
        ({"minutes": 0.1}, "minutes must be numbers"),
        ({"minutes": "nan"}, "minutes must be numbers"),
        ({"streams": 0}, "streams must be a whole number of at least 1"),
        ({"questions": 0}, "questions must be a whole number of at least 1"),
        ({"seed": -1}, "seed must be a whole number of at least 0"),
        ({"scenarios": "loud"}, "there is no scenario 'loud'; there are busy"),
        ({"scenarios": "unseen"}, "add --art openmoji"),
        ({"art": "oil"}, "art must be noto, openmoji or the file of a font"),
        ({"positions": "up"}, "positions must be one of native, compact"),
        ({"model": "/nowhere"}, "/nowhere"),
        ({"out": "/dev/null/recall.json"}, "cannot be written"),
        ({"jobs": 0}, "jobs must be a whole number of at least 1"),
        ({"policies": " , "}, "no policies are named"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_done(
    wrong: dict[str, Any], said: str, tmp_path: Path
) -> None:
    with pytest.raises(OptionError, match=said):
        run(**TINY | {"out": tmp_path / "r.json"} | wrong)


def test_on_the_command_line(tmp_path: Path) -> None:
    out = tmp_path / "recall.json"
    words = ["bench", "recall", "--quick", "--minutes", "0.5", "--scenarios", "busy"]
    words += ["--policies", "recency", "--budgets", "full,1/4", "--streams", "1", "--seed", "3"]
    words += ["--model", str(SHIPPED_MODEL), "--jobs", "1", "--positions", "native"]
    done = CliRunner().invoke(app, [*words, "--out", str(out), "--json"])
    assert done.exit_code == 0, done.output
    figures = json.loads(done.stdout)
    assert figures == json.loads(out.read_text())
    assert (figures["seed"], figures["positions"]) == (3, "native")
    shown = CliRunner().invoke(app, [*words, "--out", str(out)])
    assert shown.exit_code == 0
    assert "accuracy, %" in shown.stdout
    assert "recency" in shown.stdout


def test_bad_words_on_the_command_line() -> None:
    for wrong, said in (
        (["--minutes", "many"], "minutes must be numbers"),
        (["--policies", "tra"], "there is no policy 'tra'"),
        (["--hours", "1"], "recall takes no --hours"),
    ):
        done = CliRunner().invoke(app, ["bench", "recall", *wrong])
        assert done.exit_code == 2
        assert said in done.stderr
    done = CliRunner().invoke(app, ["bench", "soak", "--minutes", "1,5"])
    assert done.exit_code == 2
    assert "--minutes must be a number" in done.stderr
