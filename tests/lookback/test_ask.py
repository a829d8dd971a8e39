"""A question about a file: the answer on stdout, everything else on stderr, errors in a line."""

import subprocess
from pathlib import Path

import pytest

from lookback.ask import Asked, AskError, ask
from tests.lookback.conftest import ROOT, command


def test_the_answer_is_on_stdout_and_the_rest_on_stderr(clip: Path, model: Path) -> None:
    arguments = command("ask", clip, "What is it now?", "--at", 3, "--model", model)
    done = subprocess.run(
        [*arguments, "--max-tokens", "3"], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 1
    assert done.stdout.strip()
    assert "4 frames seen" in done.stderr
    assert "0 s to 3 s" in done.stderr.replace("\n", " ")


def test_the_budget_and_the_rate_are_used(
    clip: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ask(Asked(clip, "What?", model=str(model), budget_tokens=54, fps=5.0, max_tokens=1))
    said = " ".join(capsys.readouterr().err.split())
    assert "30 frames seen" in said
    assert "at most 126 tokens" in said  # a budget of 54 and a block of 8 frames of 9


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"at": 60.0}, "beyond its end"),
        ({"at": -1.0}, "--at"),
        ({"fps": 0.0}, "--fps"),
        ({"question": "  "}, "empty"),
        ({"budget_tokens": 1}, "budget"),
        ({"model": "no/such/folder"}, "no/such/folder"),
        ({"clip": Path("none.mp4")}, "no file"),
        ({"clip": Path(__file__)}, "no video"),
        ({"policy": "magic"}, "magic"),
    ],
)
def test_what_cannot_be_asked_is_named(
    clip: Path, model: Path, changed: dict[str, object], words: str
) -> None:
    given: dict[str, object] = {"clip": clip, "question": "What?", "model": str(model)}
    with pytest.raises(AskError, match=words):
        ask(Asked(**(given | changed)))  # type: ignore[arg-type]
