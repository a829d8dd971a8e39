"""A whole service of processes of its own, to be loaded: broker, gateway, workers, and a crowd."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import httpx

from benchmarks.process import Process, cpu_seconds, free_port, ready
from broker.connection import connect_async
from broker.embedded import EmbeddedBroker
from messages import keys
from messages.codec import decode_card

_NO_LIMIT: Final = "1000000"
_LOOK_SECONDS: Final = 0.2


@dataclass
class LoadedService:
    """`processes`: the service's, by name, with their ids; `crowd`: its clients."""

    processes: dict[str, int]
    crowd: Process
    url: str
    _broker: Any

    def cpu_seconds(self) -> dict[str, float]:
        """Of the service's processes so far, by name."""
        return {name: cpu_seconds(pid) for name, pid in self.processes.items()}

    async def sessions_by_worker(self) -> dict[str, int]:
        """As the workers say."""
        names = [name async for name in self._broker.scan_iter(match=keys.WORKERS)]
        cards = [decode_card(data) for data in await self._broker.mget(names) if data is not None]
        return {card.worker.partition("-")[0]: card.sessions for card in cards}

    async def complete(self, workers: int) -> None:
        """Returns when so many live."""
        while True:
            if len(await self.sessions_by_worker()) >= workers:
                return
            await asyncio.sleep(_LOOK_SECONDS)


@asynccontextmanager
async def service(
    *, capacity: int, workers: int, simulate: bool, think: float, tokens: int, stay: float | None
) -> AsyncIterator[LoadedService]:
    """Until the block is left. capacity: sessions of each worker. For the main thread.

    All clients come from one address: the limits for one of those are lifted, and no others.
    """
    port = free_port()
    with EmbeddedBroker() as broker:
        environment = {
            "LOOKBACK_BROKER_URL": broker.url,
            "LOOKBACK_PORT": str(port),
            "LOOKBACK_MAX_SESSIONS": str(capacity),
            "LOOKBACK_REQUESTS_PER_SECOND": _NO_LIMIT,
            "LOOKBACK_NEW_SESSIONS_PER_SECOND": _NO_LIMIT,
            "LOOKBACK_SESSIONS_EACH": _NO_LIMIT,
            "LOOKBACK_WEBSOCKETS_EACH": _NO_LIMIT,
            "LOOKBACK_WAITING_EACH": _NO_LIMIT,
            "LOOKBACK_DRAIN_SECONDS": "0",  # what is asked at the end counts for nothing
            "LOOKBACK_MOST_CAMERAS": str(2 * capacity * workers),
        }
        command = ("benchmarks.sleeping_worker",) if simulate else ("lookback", "worker")
        async with AsyncExitStack() as stack:

            async def start(*command: str, **more: str) -> Process:
                return await stack.enter_async_context(
                    Process.started(*command, **environment, **more)
                )

            crowd = await start("benchmarks.crowd")
            processes = {"broker": broker.pid, "gateway": (await start("lookback", "gateway")).pid}
            for number in range(workers):
                name = f"worker{number}"
                processes[name] = (await start(*command, LOOKBACK_WORKER_NAME=name)).pid
            client = await connect_async(broker.url)
            stack.push_async_callback(client.aclose)
            loaded = LoadedService(processes, crowd, f"http://127.0.0.1:{port}", client)
            async with httpx.AsyncClient(base_url=loaded.url, timeout=30) as asking:
                await ready(asking)
            await loaded.complete(workers)
            await crowd.order("meet", url=loaded.url, think=think, tokens=tokens, stay=stay)
            yield loaded
