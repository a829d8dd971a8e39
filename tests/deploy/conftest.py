"""What the deployments share."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from model_worker.settings import WorkerSettings
from server.settings import GatewaySettings

ROOT = Path(__file__).parent.parent.parent
BIN = Path(sys.executable).parent
SETTINGS = {
    f"LOOKBACK_{name.upper()}"
    for reader in (GatewaySettings, WorkerSettings)
    for name in reader.model_fields
}


def run(program: str, *arguments: object) -> str:
    """One of the environment's programs; its stdout."""
    if not (BIN / program).exists():
        missing = f"{program} is not installed (lookback[deploy], Linux on x86-64)"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(missing)
    command = [str(BIN / program), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def stopping_seconds(drain_seconds: float) -> float:
    """How long a worker takes at most: it ends its answers, writes memories for as long at most,
    and says farewell."""
    return 2 * drain_seconds + 5


def read(settings: type, environment: dict[str, str]) -> object:
    """What a part makes of its variables. Raises pydantic.ValidationError."""
    given = {name.removeprefix("LOOKBACK_").lower(): value for name, value in environment.items()}
    fields = settings.model_fields  # type: ignore[attr-defined]
    return settings(**{n: v for n, v in given.items() if n in fields and v != ""})
