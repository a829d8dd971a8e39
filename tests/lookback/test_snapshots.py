"""Looking into a snapshot."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from lookback.cli import app
from model_worker.decoding import Sampling
from model_worker.engine import Engine
from model_worker.settings import SHIPPED_MODEL
from tests.lookback.conftest import ROOT


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of lookback-mini, after an hour and a little."""
    engine = Engine.load(SHIPPED_MODEL, device="cpu")
    session = engine.open_session(budget_tokens=27)
    noise = np.random.default_rng(0).integers(0, 256, (20, 96, 96, 3), dtype=np.uint8)
    session.watch_many(list(noise), [3600.0 + second for second in range(20)])
    list(session.ask("is this a [bold]question[/bold]?", Sampling(max_tokens=4)))
    file = tmp_path_factory.mktemp("snapshots") / "session.lbmem"
    notes = {"from": "\x1b[31mred"}
    file.write_bytes(b"".join(engine.snapshot(session, "entropy", notes)))
    return file


def show(*arguments: object) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["session", "show", *map(str, arguments)])
    return done.exit_code, done.output


def test_says_what_a_snapshot_holds(snapshot: Path) -> None:
    status, text = show(snapshot, "--turns")
    words = " ".join(text.split())
    assert status == 0
    assert "lookback-mini (llava_onevision), weights" in words
    assert "entropy, of float32" in words
    assert "of a budget of 27 and a block of 72; compressed 2 times" in words
    assert "20 frames; remembered from 1:00:" in words
    assert "to 1:00:19 of the stream" in words
    assert "1 of 1 turns kept" in words
    assert "is this a [bold]question[/bold]?" in words
    assert "\x1b[31m" not in text


def test_gives_the_whole_header_as_json(snapshot: Path) -> None:
    status, text = show(snapshot, "--json")
    header = json.loads(text)
    assert status == 0
    assert header["bytes"] == snapshot.stat().st_size
    assert header["shape"]["budget"] == 27
    assert header["conversation"]["turns"][0]["question"].startswith("is this")


def test_refuses_politely(snapshot: Path, tmp_path: Path) -> None:
    damaged = bytearray(snapshot.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    file = tmp_path / "damaged"
    for data, why in (
        (bytes(damaged), "is damaged in chunk"),
        (snapshot.read_bytes()[:-1], "is cut short in chunk END"),
        (b"%PDF-1.7", "this is no snapshot of a session's memory"),
    ):
        file.write_bytes(data)
        status, text = show(file)
        assert status == 1
        assert why in " ".join(text.split())
        assert "Traceback" not in text
    for missing, why in ((tmp_path / "none", "No such file"), (tmp_path, "directory")):
        status, text = show(missing)
        assert status == 1
        assert why in " ".join(text.split())


def test_needs_no_torch(snapshot: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from lookback.snapshots import examine; "
        f"examine(Path({str(snapshot)!r})); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False, cwd=ROOT).returncode == 0
