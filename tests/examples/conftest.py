"""One service with API keys for all examples, and programs that die with the test."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from broker.embedded import dies_with
from server.api_keys import editing
from tests.lookback.conftest import ROOT, serving

CLIP = ROOT / "samples" / "objects.mp4"
Run = Callable[..., subprocess.Popen[str]]


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """`lookback serve` with the shipped model; yields the variables that the examples read."""
    folder = tmp_path_factory.mktemp("examples")
    keys = folder / "keys.json"
    with editing(keys) as file:
        key = file.create("examples", frozenset({"publish", "ask", "manage"}))
    with serving(ROOT / "models" / "lookback-mini", folder, "--api-keys-file", keys) as made:
        yield {"LOOKBACK_URL": made.url, "LOOKBACK_API_KEY": key}


@pytest.fixture
def run(service: dict[str, str]) -> Iterator[Run]:
    """Starts an example by its name; its output and input are pipes."""
    running: list[subprocess.Popen[str]] = []

    def start(name: str, *arguments: object, **variables: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, str(Path("examples") / name), *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=os.environ | service | variables,
            preexec_fn=dies_with(os.getpid()),
        )
        running.append(process)
        return process

    yield start
    for process in running:
        process.kill()
        process.communicate()
