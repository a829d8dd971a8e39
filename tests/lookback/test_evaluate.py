"""`lookback eval`: figures on stdout, what is wrong in a line, a status that scripts can use."""

import json
import signal
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from evaluations import BENCHMARKS
from lookback.cli import app
from tests.evaluations.datasets import clip, dump, egoschema, mlvu, ovobench, rvs
from tests.evaluations.test_grader import judging
from tests.lookback.conftest import ROOT, _as_from_a_terminal, command, eventually


@pytest.fixture(autouse=True)
def _no_settings_stay(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Flags become variables of this process."""
    for name in ("MODEL", "BUDGET_TOKENS", "POLICY", "JUDGE_KEY"):
        monkeypatch.setenv(f"LOOKBACK_{name}", "")
        monkeypatch.delenv(f"LOOKBACK_{name}")
    monkeypatch.chdir(tmp_path)


def ask(*arguments: object) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, ["eval", *map(str, arguments)])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stdout, done.stderr


def test_the_list_says_what_each_expects_and_where_from() -> None:
    status, said, _ = ask("--list")
    assert status == 0
    for name, benchmark in BENCHMARKS.items():
        assert f"{name}: {benchmark.title}" in said
        assert benchmark.source in said
        assert all(file in said for file in benchmark.expects)
    assert ask("mlvu", "--list")[1].startswith("mlvu: MLVU")
    assert ask("nothing", "--list")[0] == 2


def test_figures_stand_beside_the_papers(model: Path, tmp_path: Path) -> None:
    mlvu(tmp_path / "data")
    arguments = ("mlvu", "--data", "data", "--model", model, "--budget", 54)
    status, said, told = ask(*arguments, "--policy", "recency")
    assert status == 0, told
    assert "3 questions, 3 answered, 3 scored" in said
    assert "this run, recency" in said and "InfiniPot-V, arXiv 2506.15745v2" in said
    out = tmp_path / f"mlvu-{model.name}-recency-54.jsonl"
    assert out.is_file() and (tmp_path / f"{out.stem}.summary.json").is_file()
    status, said, _ = ask(*arguments, "--policy", "recency", "--json")
    figures = json.loads(said)
    assert (status, figures["answered"], figures["results"]) == (0, 3, out.name)


def test_another_policy_does_not_go_into_the_same_file(model: Path, tmp_path: Path) -> None:
    mlvu(tmp_path / "data")
    arguments = ("mlvu", "--data", "data", "--model", model, "--out", "r.jsonl", "--limit", 1)
    assert ask(*arguments, "--policy", "recency")[0] == 0
    status, said, told = ask(*arguments, "--policy", "tar")
    assert (status, said) == (1, "")
    assert "another --out, or --policy recency" in told


def test_nothing_scored_is_a_failure(model: Path, tmp_path: Path) -> None:
    egoschema(tmp_path / "data")
    for file in (tmp_path / "data" / "videos").iterdir():
        file.write_bytes(b"")
    arguments = ("egoschema", "--data", "data", "--model", model)
    status, said, _ = ask(*arguments)
    assert status == 1
    assert "skipped, damaged video: 1" in said
    for file in (tmp_path / "data" / "videos").iterdir():
        clip(file, 1)
    status, said, _ = ask(*arguments, "--tasks", "hidden")  # answers that are not known here
    assert status == 0
    assert "predictions:" in said


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        ((), 2, "--list"),
        (("mlvu",), 2, "--data"),
        (("nothing", "--data", "x"), 2, "videomme, mlvu"),
        (("mlvu", "--data", "none"), 1, "no folder none"),
        (("mlvu", "--data", "."), 1, "1_plotQA.json"),
        (("mlvu", "--data", "data", "--fps", 0), 2, "--fps"),
        (("mlvu", "--data", "data", "--tasks", "chess"), 2, "count, plotQA"),
        (("mlvu", "--data", "data", "--subtitles"), 2, "--subtitles"),
        (("mlvu", "--data", "data", "--judge", "http://x"), 2, "--judge"),
        (("mlvu", "--data", "data", "--policy", "magic"), 2, "magic"),
        (("mlvu", "--data", "data", "--budget", 0), 2, "BUDGET_TOKENS"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(
    model: Path, tmp_path: Path, arguments: tuple[object, ...], status: int, words: str
) -> None:
    mlvu(tmp_path / "data")
    found, said, told = ask(*arguments, "--model", model)
    assert (found, said) == (status, "")
    assert words in told
    assert told.splitlines()[-1].startswith("lookback: ")


def test_free_answers_are_graded_by_a_judge(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rvs(tmp_path / "data")
    arguments = ("rvs", "--data", "data", "--model", model, "--out", "r.jsonl")
    status, said, _ = ask(*arguments)
    assert status == 0
    assert "no score" in said and "r.pred.json" in said
    assert len((tmp_path / "r.pred.json").read_text().splitlines()) == 3
    monkeypatch.setenv("LOOKBACK_JUDGE_KEY", "secret")
    with judging("{'pred': 'yes', 'score': 5}", "{'pred': 'no', 'score': 1}") as judge:
        status, said, _ = ask(*arguments, "--judge", judge.url, "--judge-model", "j", "--json")
        assert {key for _, key in judge.heard} == {"Bearer secret"}
    figures = json.loads(said)
    assert (status, figures["scored"]) == (0, 3)
    assert figures["accuracy"] == pytest.approx(100 / 3)
    assert figures["grade"] == pytest.approx(7 / 3)


def test_ctrl_c_loses_nothing(model: Path, tmp_path: Path) -> None:
    ovobench(tmp_path / "data")
    rows = json.loads((tmp_path / "data" / "ovo_bench_new.json").read_text())
    clip(tmp_path / "data" / "src_videos" / rows[0]["video"], 40.0)
    last = {**rows[0], "id": 9, "realtime": 39}
    dump(tmp_path / "data" / "ovo_bench_new.json", [*rows, last])
    arguments = ("ovobench", "--data", tmp_path / "data", "--model", model, "--fps", 5)
    out = tmp_path / "parts.jsonl"
    with (tmp_path / "said").open("wb") as said:
        process = subprocess.Popen(
            command("eval", *arguments, "--out", out),
            stdout=said,
            stderr=said,
            cwd=ROOT,
            preexec_fn=_as_from_a_terminal(None),
        )
    try:
        eventually(lambda: out.is_file() and len(out.read_bytes().splitlines()) >= 3, "answer")
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
    finally:
        process.kill()
    assert "the same command goes on" in (tmp_path / "said").read_text()
    answered = len(out.read_bytes().splitlines()) - 1
    assert answered < 8
    assert ask(*arguments, "--out", out)[0] == 0
    assert ask(*arguments, "--out", tmp_path / "whole.jsonl")[0] == 0
    assert out.read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
