"""An untrained checkpoint in lookback-mini's shape, a small clip, and running services."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import av
import numpy as np
import pytest
import torch

from broker.embedded import dies_with
from training.checkpoint import build_model, build_tokenizer
from training.export import export

T = TypeVar("T")
ROOT = Path(__file__).parent.parent.parent
WAIT_SECONDS = 90.0


def eventually(find: Callable[[], T], what: str, seconds: float = WAIT_SECONDS) -> T:
    """The first true result."""
    deadline = time.monotonic() + seconds
    while not (found := find()):
        assert time.monotonic() < deadline, f"there was no {what}"
        time.sleep(0.05)
    return found


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Knows every word and nothing else."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("untrained")
    tokenizer = build_tokenizer()
    export(build_model(tokenizer), tokenizer, folder)
    return folder


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six seconds of moving noise, 96x96 pixels at 10 frames a second."""
    path = tmp_path_factory.mktemp("clips") / "noise.mp4"
    random = np.random.default_rng(0)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width = stream.height = 96
        stream.pix_fmt = "yuv420p"
        for number in range(60):
            pixels = np.kron(
                random.integers(0, 256, (6, 6, 3), dtype=np.uint8),
                np.ones((16, 16, 1), dtype=np.uint8),
            )
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "lookback", *map(str, arguments)]


def _as_from_a_terminal(also: Callable[[], None] | None) -> Callable[[], None]:
    """For Popen's preexec_fn: Ctrl-C stops the child, even where the tests run in the background
    of a shell, which has them ignore it."""

    def in_child() -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        if also is not None:
            also()

    return in_child


class Serving:
    """`lookback serve` as a process. `said` is its stderr so far."""

    def __init__(self, model: Path, folder: Path, *arguments: object) -> None:
        self._log = folder / "serve.log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                command("serve", "--port", 0, "--model", model, *arguments),
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                cwd=ROOT,
                preexec_fn=_as_from_a_terminal(dies_with(os.getpid())),
            )
        self.url = ""

    @property
    def said(self) -> str:
        return self._log.read_text(errors="replace")

    def wait_until_ready(self) -> "Serving":
        """Reads the line that says where the page is."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        found = re.search(r"ready: (https?://127\.0\.0\.1:\d+)", line)
        assert found, f"{line!r}; {self.said}"
        self.url = found[1]
        return self

    def parts(self) -> dict[str, int]:
        """Process ids of the children by what they run: broker, gateway, worker."""
        return {_named(pid): pid for pid in children(self.process.pid)}


@contextmanager
def serving(model: Path, folder: Path, *arguments: object) -> Iterator[Serving]:
    service = Serving(model, folder, *arguments)
    try:
        yield service.wait_until_ready()
    finally:
        service.process.send_signal(signal.SIGTERM)
        service.process.wait(WAIT_SECONDS)


def children(pid: int) -> list[int]:
    """The living children of a process, zombies left out."""
    path = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in path.read_text().split() if alive(int(child))]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def _named(pid: int) -> str:
    words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    return next((name for name in ("gateway", "worker") if name in words), "broker")
