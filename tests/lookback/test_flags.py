"""Flags become variables, for the commands that take them and no others."""

import os

import pytest
import typer
from typer.testing import CliRunner

from lookback.cli import app as commands
from lookback.flags import BROKER, MODEL, takes

app = typer.Typer()
given: dict[str, object] = {}


@app.command()
@takes(BROKER, MODEL)
def command(own: str, more: bool = False) -> None:
    """Takes a word."""
    given.update(own=own, more=more)


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test sets goes away with it."""
    monkeypatch.setattr(os, "environ", dict(os.environ))
    given.clear()


def test_a_commands_own_parameters_are_its_own() -> None:
    done = CliRunner().invoke(app, ["word", "--more", "--revision", "v1", "--budget", "99"])
    assert done.exit_code == 0, done.output
    assert given == {"own": "word", "more": True}
    assert (os.environ["LOOKBACK_REVISION"], os.environ["LOOKBACK_BUDGET_TOKENS"]) == ("v1", "99")


def test_a_flag_that_is_not_given_sets_nothing() -> None:
    os.environ.pop("LOOKBACK_ATTENTION", None)
    assert CliRunner().invoke(app, ["word"]).exit_code == 0
    assert "LOOKBACK_ATTENTION" not in os.environ


@pytest.mark.parametrize("name", ["serve", "worker", "ask", "demo"])
def test_whatever_loads_a_model_takes_every_flag_of_models(name: str) -> None:
    shown = CliRunner().invoke(commands, [name, "--help"], env={"COLUMNS": "200"}).output
    for flag in ("--config", "--model", "--revision", "--attention", "--quantization", "--budget"):
        assert flag in shown


def test_the_gateway_takes_none_of_them() -> None:
    shown = CliRunner().invoke(commands, ["gateway", "--help"], env={"COLUMNS": "200"}).output
    assert "--broker-url" in shown
    assert "--model" not in shown
