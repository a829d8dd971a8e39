"""One process of the service, as a test sees and maltreats it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from broker.embedded import dies_with

ROOT = Path(__file__).parents[2]


class Part:
    """`python COMMAND…`, with these variables and no other LOOKBACK_*. Its log is beside it."""

    def __init__(
        self, name: str, folder: Path, command: list[str], environment: dict[str, str]
    ) -> None:
        self.name = name
        self._command = [sys.executable, *command]
        plain = {k: v for k, v in os.environ.items() if not k.startswith("LOOKBACK_")}
        self._environment = {**plain, **environment}
        self._log = folder / f"{name}.log"
        self.start()

    def start(self) -> None:
        """Again after `kill`."""
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                self._command,
                cwd=ROOT,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=dies_with(os.getpid()),
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def said(self) -> str:
        """Its log."""
        return self._log.read_text(errors="replace")

    def kill(self) -> None:
        """By SIGKILL."""
        self.process.kill()
        self.process.wait()

    def pause(self) -> None:
        """By SIGSTOP."""
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """By SIGCONT."""
        self.process.send_signal(signal.SIGCONT)

    @property
    def descriptors(self) -> int:
        """How many files and sockets it has open."""
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))

    @property
    def threads(self) -> int:
        return len(list(Path(f"/proc/{self.pid}/task").iterdir()))


class Gateway(Part):
    """A gateway on a port of its own."""

    def __init__(self, name: str, folder: Path, port: int, environment: dict[str, str]) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self._counted = folder / f"{name}.tasks"
        command = ["-m", "tests.faults.counted_gateway", str(self._counted)]
        super().__init__(name, folder, command, {**environment, "LOOKBACK_PORT": str(port)})

    def tasks(self) -> list[str]:
        """Its asyncio tasks that live, by their coroutines."""
        self._counted.unlink(missing_ok=True)
        self.process.send_signal(signal.SIGUSR1)
        until = time.monotonic() + 10
        while not self._counted.exists():
            assert time.monotonic() < until, f"{self.name} does not count its tasks"
            time.sleep(0.01)
        return self._counted.read_text().splitlines()
