"""The processes that a benchmark starts, and what it says to them."""

import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import httpx

from broker.embedded import dies_with

_READY_SECONDS: Final = 120.0
_ORDER_BYTES: Final = 2**24


class Process:
    """A process of ours that takes orders: a line of JSON in, one out."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.pid: Final = process.pid

    @staticmethod
    @asynccontextmanager
    async def started(*command: str, **environment: str) -> AsyncIterator["Process"]:
        """`python -m COMMAND`, until the block is left. What it says on standard error is shown
        where it fails."""
        with tempfile.TemporaryFile() as said:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                *command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=said,
                env={**os.environ, **environment},
                limit=_ORDER_BYTES,
                preexec_fn=dies_with(os.getpid()),
            )
            try:
                yield Process(process)
            except BaseException:
                said.seek(0)
                sys.stderr.write(said.read().decode(errors="replace")[-4000:])
                raise
            finally:
                if process.returncode is None:
                    process.terminate()
                await process.wait()

    async def order(self, do: str, **told: Any) -> dict[str, Any]:
        """What it answers. Raises RuntimeError where it has ended."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps({"do": do, **told}).encode() + b"\n")
        line = await self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"process {self.pid} has ended at the order {do!r}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def cpu_seconds(self) -> float:
        """Of all its threads so far, those that have ended too."""
        return cpu_seconds(self.pid)


def cpu_seconds(pid: int) -> float:
    """Of a process. Linux names its clock by its id: what clock_getcpuclockid(3) computes."""
    return time.clock_gettime(~pid << 3 | 2)


def read(reply: httpx.Response) -> dict[str, Any]:
    """Raises RuntimeError for a refusal."""
    if reply.is_error:
        raise RuntimeError(f"the gateway refuses: {reply.text}")
    body: dict[str, Any] = reply.json()
    return body


async def ready(client: httpx.AsyncClient) -> None:
    """Raises RuntimeError where no session can be had in time."""
    deadline = time.monotonic() + _READY_SECONDS
    while time.monotonic() < deadline:
        try:
            if (await client.get("/ready")).status_code == 200:
                return
        except httpx.TransportError:
            pass  # it is not listening yet
        await asyncio.sleep(0.2)
    raise RuntimeError("the gateway did not become ready")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port
