"""A broker, gateways and workers: real processes, with links between them."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import httpx

from messages import keys
from messages.codec import decode_card
from messages.workers import WorkerCard
from tests.faults.broker import Broker
from tests.faults.link import Link
from tests.faults.part import Gateway, Part
from tests.faults.ports import free_port

T = TypeVar("T")
START_SECONDS = 60.0


class Service:
    """What is started here is stopped by `service`."""

    def __init__(self, folder: Path, checkpoint: Path, broker: Broker) -> None:
        self._folder = folder
        self._checkpoint = checkpoint
        self.broker = broker
        self.parts: list[Part] = []

    def gateway(
        self,
        name: str = "gateway",
        link: Link | None = None,
        more: dict[str, str] | None = None,
        **settings: str,
    ) -> Gateway:
        """link: between it and the broker. more: variables."""
        environment = {
            "LOOKBACK_BROKER_URL": self._broker_url(link),
            "LOOKBACK_FPS": "5",
            **_variables(settings),
            **(more or {}),
        }
        made = Gateway(name, self._folder, free_port(), environment)
        self.parts.append(made)
        return made

    def worker(
        self,
        name: str,
        link: Link | None = None,
        program: str = "lookback",
        more: dict[str, str] | None = None,
        **settings: str,
    ) -> Part:
        """link: between it and the broker. program: the module that is run. more: variables."""
        environment = {
            "LOOKBACK_BROKER_URL": self._broker_url(link),
            "LOOKBACK_WORKER_NAME": name,
            "LOOKBACK_MODEL": str(self._checkpoint),
            "LOOKBACK_THREADS": "1",
            "LOOKBACK_SNAPSHOT_SECONDS": "0.5",
            **_variables(settings),
            **(more or {}),
        }
        made = Part(name, self._folder, ["-m", program, "worker"], environment)
        self.parts.append(made)
        return made

    def ready(self) -> None:
        """Returns when every gateway and every worker that runs is."""
        for part in self.parts:
            if part.process.poll() is not None:
                continue
            if isinstance(part, Gateway):
                continue
            eventually(lambda part=part: self.card(part) or _ended(part), f"{part.name}'s card")  # type: ignore[misc]
        for part in self.parts:
            if isinstance(part, Gateway) and part.process.poll() is None:
                eventually(lambda part=part: _ready(part), f"{part.name}'s readiness")  # type: ignore[misc]

    def card(self, worker: Part) -> WorkerCard | None:
        """The worker's present card on the broker."""
        for key in self.broker.client.scan_iter(keys.worker(f"{worker.name}-*")):
            data = self.broker.client.get(key)
            if data is not None:
                return decode_card(data)
        return None

    def owner(self, session: str) -> Part | None:
        """The worker that has the session's lease."""
        lease: bytes | None = self.broker.client.get(keys.owner(session))
        if lease is None:
            return None
        name = lease.decode().split(" ")[0].rpartition("-")[0]
        return next(part for part in self.parts if part.name == name)

    async def idle(self) -> None:
        """Returns when no worker has a session, and all have said so."""
        workers = [part for part in self.parts if not isinstance(part, Gateway)]
        running = [worker for worker in workers if worker.process.poll() is None]
        async with asyncio.timeout(START_SECONDS):
            for worker in running:
                while (card := self.card(worker)) is None or card.sessions:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
        await asyncio.sleep(0.1)  # their offers come right after their cards

    def _broker_url(self, link: Link | None) -> str:
        return self.broker.url if link is None else f"redis://127.0.0.1:{link.port}"


def _variables(settings: dict[str, str]) -> dict[str, str]:
    return {f"LOOKBACK_{name.upper()}": value for name, value in settings.items()}


def _ended(part: Part) -> None:
    assert part.process.poll() is None, f"{part.name} has ended:\n{part.said[-2000:]}"


def _ready(gateway: Gateway) -> bool:
    with contextlib.suppress(httpx.TransportError):
        return httpx.get(f"{gateway.url}/ready").status_code == 200
    return False


def eventually(find: Callable[[], T], what: str, seconds: float = START_SECONDS) -> T:
    """The first true value."""
    until = time.monotonic() + seconds
    while not (found := find()):
        assert time.monotonic() < until, f"there was no {what}"
        time.sleep(0.05)
    return found


@contextlib.contextmanager
def service(
    folder: Path, checkpoint: Path, more: dict[str, str] | None = None
) -> Iterator[Service]:
    """With a broker and nothing else. more: the broker's variables. When a test fails, the parts'
    logs are in the folder."""
    broker = Broker(folder, more)
    made = Service(folder, checkpoint, broker)
    try:
        yield made
    finally:
        for part in made.parts:
            if part.process.poll() is None:
                part.kill()
        broker.client.close()
        broker.kill()
