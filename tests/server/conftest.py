"""A real gateway on a real port over a real broker."""

import contextlib
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import uvicorn

from broker.embedded import EmbeddedBroker
from server.app import create_app, served
from server.settings import GatewaySettings
from tests.server.clients import (
    Client,
    MovingPicture,
    eventually,
    new_session,
    sending,
    talking,
)
from tests.server.peer import CARD, PeerWorker


@pytest.fixture(scope="session")
def broker_url() -> Iterator[str]:
    with EmbeddedBroker() as broker:
        yield broker.url


@pytest.fixture
def worker(broker_url: str) -> Iterator[PeerWorker]:
    with PeerWorker(broker_url) as peer:
        yield peer


@contextlib.contextmanager
def serving(settings: GatewaySettings) -> Iterator[str]:
    """A gateway in a thread; yields its base URL."""
    config = served(create_app(settings), settings)
    config.host, config.port, config.timeout_graceful_shutdown = "127.0.0.1", 0, 1
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 30
    while not server.started:
        assert thread.is_alive() and time.monotonic() < deadline, "the gateway did not start"
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(timeout=30)
        assert not thread.is_alive(), "the gateway did not stop"


def _serving(**settings: Any) -> contextlib.AbstractContextManager[str]:
    return serving(GatewaySettings(**settings))


@pytest.fixture
def gateway(broker_url: str, worker: PeerWorker) -> Iterator[str]:
    with serving(GatewaySettings(broker_url=broker_url)) as url:
        yield url


@pytest.fixture
def serve(broker_url: str, worker: PeerWorker) -> Iterator[Callable[..., str]]:
    """A gateway with other settings."""
    with contextlib.ExitStack() as stack:

        def start(**settings: Any) -> str:
            url = {"broker_url": broker_url}
            return stack.enter_context(serving(GatewaySettings(**(url | settings))))

        yield start


@pytest.fixture
async def seen(gateway: str, worker: PeerWorker) -> AsyncIterator[str]:
    """A session that has seen something; its camera goes on."""
    session = new_session(gateway, instructions="Be brief.")
    async with sending(gateway, session):
        await eventually(lambda: any(frame.session == session for frame in worker.frames))
        yield session


@pytest.fixture
async def asker(gateway: str, seen: str) -> AsyncIterator[Client]:
    """A websocket of that session, which knows that something was seen."""
    async with talking(gateway, seen) as client:
        await client.until("lookback.memory.updated")
        yield client


@pytest.fixture
def tools() -> Any:
    """What tests do again and again."""
    return SimpleNamespace(
        CARD=CARD,
        MovingPicture=MovingPicture,
        PeerWorker=PeerWorker,
        serving=_serving,
        sending=sending,
        talking=talking,
        new_session=new_session,
        eventually=eventually,
    )
