"""The supervisor: an embedded broker, a gateway and a worker as one service on this machine.

Starts again what crashes, and stops all of it when it is stopped. Loads no model itself.
"""

import asyncio
import logging
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Callable, Coroutine
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import httpx

from broker.connection import BrokerError, connect
from broker.embedded import EmbeddedBroker
from lookback.part import Part, PartError
from lookback.settings import ServeSettings
from telemetry.logs import configure

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 0.2


class ServeError(RuntimeError):
    """The service cannot start; the message says what to change."""


def say(line: str) -> None:
    """To the operator, beside the parts' own logs."""
    print(f"lookback: {line}", file=sys.stderr, flush=True)


def _log(line: str) -> None:
    """The same where lines are read by programs."""
    log.info("%s", line)


async def serve(settings: ServeSettings) -> int:
    """Run until SIGINT or SIGTERM; the exit status."""
    tell = say
    if settings.log_format == "json":
        configure("supervisor", form="json")
        tell = _log
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_IGN:  # nohup
            continue
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        async with Supervisor(settings, tell) as supervisor:
            tell("starting; a first start takes some seconds")
            if await _unless(stop, supervisor.ready()):
                print(f"Lookback is ready: {supervisor.url} (Ctrl-C stops it)", flush=True)
                await _unless(stop, supervisor.failed())
            tell("stopping")
    except (BrokerError, PartError, ServeError) as error:
        tell(str(error))
        return 1
    return 0


async def _unless(stop: asyncio.Event, work: Coroutine[None, None, None]) -> bool:
    """Whether the work came to its end before `stop`; raises what it raises."""
    tasks = asyncio.create_task(work), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if tasks[0].done():
            tasks[0].result()
        return tasks[0].done()
    finally:
        for task in tasks:
            task.cancel()


class Supervisor:
    """The running service, for `async with` in the main thread.

    port 0 takes a free one. Raises BrokerError where no broker answers, ServeError for a taken
    port.
    """

    def __init__(self, settings: ServeSettings, say: Callable[[str], None] = say) -> None:
        self._settings = settings
        self._say = say
        self._open = ExitStack()
        self._broker: EmbeddedBroker | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self.parts: dict[str, Part] = {}
        self.url = ""

    async def __aenter__(self) -> Self:
        port = _free_port(self._settings.host, self._settings.port)
        self.url = f"{self._settings.scheme}://{self._settings.reachable_host}:{port}"
        broker_url = self._settings.broker_url or self._embedded()
        connect(broker_url).close()
        kept = self._open.enter_context(tempfile.TemporaryDirectory(prefix="lookback-memory-"))
        environment = {
            # A worker that crashed goes on with its sessions' memories when it is back.
            "LOOKBACK_SNAPSHOTS": kept,
            # All parts stop together: nobody is there to hand a session over to.
            "LOOKBACK_DRAIN_SECONDS": "2",
            **os.environ,
            "LOOKBACK_BROKER_URL": broker_url,
            "LOOKBACK_HOST": self._settings.host,
            "LOOKBACK_PORT": str(port),
        }
        for name in ("gateway", "worker"):
            self.parts[name] = Part(name, [name], environment, self._say)
        self._tasks = [asyncio.create_task(part.run()) for part in self.parts.values()]
        if self._broker is not None:
            self._tasks.append(asyncio.create_task(self._keep_broker()))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await asyncio.gather(*(part.stop() for part in self.parts.values()))
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._open.close()

    async def ready(self) -> None:
        """Returns when the gateway answers and a worker has its model; raises as `failed`."""
        looking = asyncio.create_task(self._answers())
        failed = asyncio.create_task(self.failed())
        try:
            await asyncio.wait({looking, failed}, return_when=asyncio.FIRST_COMPLETED)
            if failed.done():
                failed.result()
        finally:
            looking.cancel()
            failed.cancel()

    async def _answers(self) -> None:
        async with httpx.AsyncClient(verify=False, trust_env=False) as client:
            while True:
                with suppress(httpx.TransportError):
                    if (await client.get(f"{self.url}/ready")).status_code == 200:
                        return
                await asyncio.sleep(LOOK_SECONDS)

    async def failed(self) -> None:
        """Raises PartError or BrokerError when a part cannot run; never returns otherwise."""
        done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            task.result()

    def _embedded(self) -> str:
        folder = self._open.enter_context(tempfile.TemporaryDirectory(prefix="lookback-"))
        self._broker = EmbeddedBroker(Path(folder))
        self._open.enter_context(self._broker)
        return self._broker.url

    async def _keep_broker(self) -> None:
        """A new broker at the same address: its clients connect again by themselves."""
        assert self._broker is not None
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if not self._broker.alive:
                self._say("The embedded broker ended; starting it again.")
                self._broker.__exit__(None, None, None)
                self._broker.__enter__()


def _free_port(host: str, port: int) -> int:
    """The port itself if it is free, a free one for 0. Raises ServeError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ServeError(
                f"Port {port} of {host} cannot be used ({error.strerror}): stop the program that "
                "has it, or choose another with --port (LOOKBACK_PORT)."
            ) from error
        return int(probe.getsockname()[1])
