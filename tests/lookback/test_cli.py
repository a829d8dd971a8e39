"""The commands: what they load, and how they refuse."""

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from lookback.cli import app
from tests.lookback.conftest import ROOT


def run(*arguments: str, **variables: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, list(arguments), env=variables)
    return done.exit_code, done.output


def test_every_command_is_listed() -> None:
    status, text = run("--help")
    assert status == 0
    for name in ("serve", "gateway", "worker", "ask", "demo", "models", "bench", "keys"):
        assert name in text


@pytest.mark.parametrize(
    ("arguments", "variables", "words"),
    [
        (["serve"], {"LOOKBACK_PORT": "99999"}, "LOOKBACK_PORT"),
        (["gateway"], {"LOOKBACK_FPS": "0"}, "LOOKBACK_FPS"),
        (["worker"], {"LOOKBACK_MAX_SESSIONS": "0"}, "LOOKBACK_MAX_SESSIONS"),
        (["serve", "--config", "nowhere.env"], {}, "no profile nowhere.env"),
        (["demo", "--clip", "nowhere.mp4"], {}, "no clip nowhere.mp4"),
        (["ask", "nowhere.mp4", "What?"], {}, "no file nowhere.mp4"),
        (["worker"], {"LOOKBACK_ATTENTION": "fast"}, "LOOKBACK_ATTENTION='fast'"),
        (["worker"], {"LOOKBACK_QUANTIZATION": "int3"}, "LOOKBACK_QUANTIZATION"),
        (["bench", "nothing"], {}, "no benchmark 'nothing'"),
        (["gateway"], {"LOOKBACK_ICE_SERVERS": "[s3cret"}, "LOOKBACK_ICE_SERVERS is no JSON"),
        (["serve"], {"LOOKBACK_TOKEN_SECRET": "s3cret"}, "LOOKBACK_TOKEN_SECRET: "),
        (
            ["gateway"],
            {"LOOKBACK_ICE_SERVERS": '[{"urls": ["turn:x"], "password": "s3cret"}]'},
            "LOOKBACK_ICE_SERVERS_0_PASSWORD: ",
        ),
        (["gateway"], {"LOOKBACK_TURN_URLS": "turn:x"}, "LOOKBACK_TURN_SECRET"),
    ],
)
def test_refusals_name_what_to_change(
    arguments: list[str], variables: dict[str, str], words: str
) -> None:
    status, text = run(*arguments, **variables)
    assert status != 0
    assert words in " ".join(text.split())
    assert "Traceback" not in text and "s3cret" not in text


def test_the_gateways_process_never_loads_torch() -> None:
    program = (
        "import sys, lookback.cli, lookback.serve, server.app; "
        "sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False, cwd=ROOT).returncode == 0


def test_the_worker_never_loads_a_web_framework() -> None:
    program = (
        "import sys, model_worker.service; sys.exit('fastapi' in sys.modules or "
        "any(name.split('.')[0] == 'server' for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False, cwd=ROOT).returncode == 0
