"""coturn, a TURN server, on this machine only."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from broker.embedded import dies_with
from tests.server.ports import free_range
from tests.server.programs import missing


class Coturn:
    """url as in RTCIceServer; relays: the ports it relays by; `said` is its log."""

    def __init__(self, url: str, relays: range, log: Path) -> None:
        self.url = url
        self.relays = relays
        self._log = log

    @property
    def said(self) -> str:
        return self._log.read_text(errors="replace")


@contextmanager
def coturn(folder: Path, *options: str) -> Iterator[Coturn]:
    """A running server with these options of its own."""
    program = shutil.which("turnserver")
    if program is None:
        missing("coturn is not installed: apt-get install coturn")
    ports = free_range(40)
    port, relays = ports.first, range(ports.first + 1, ports.last + 1)
    log = folder / "coturn.log"
    command = [
        program, "-n", "--listening-ip=127.0.0.1", f"--listening-port={port}",
        "--relay-ip=127.0.0.1", f"--min-port={relays[0]}", f"--max-port={relays[-1]}",
        "--realm=lookback", "--no-tls", "--no-dtls", "--no-cli", "--allow-loopback-peers",
        f"--userdb={folder}/turndb", f"--pidfile={folder}/pid", "--log-file=stdout", "--verbose",
        *options,
    ]  # fmt: skip
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, stdout=out, stderr=subprocess.STDOUT, cwd=folder,
            preexec_fn=dies_with(os.getpid()),
        )  # fmt: skip
    try:
        _wait(port, process)
        yield Coturn(f"turn:127.0.0.1:{port}?transport=udp", relays, log)
    finally:
        process.terminate()
        process.wait(20)


def _wait(port: int, process: subprocess.Popen[bytes]) -> None:
    """Until it listens, which it does by TCP, too."""
    deadline = time.monotonic() + 30
    while True:
        assert process.poll() is None and time.monotonic() < deadline, "coturn did not start"
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)
