"""A gateway is polite to what gateways and workers of another version have left."""

import asyncio

import httpx
import msgspec
import pytest
from redis import Redis

from broker.connection import connect
from messages import keys
from messages.codec import encode
from messages.sessions import OpenSession, SessionOpened, SessionRecord
from messages.workers import PROTOCOL
from tests.server.peer import PeerWorker


@pytest.fixture
def left(broker_url: str) -> str:
    """The id of a session that one of the next version made, and that lives."""
    session = "of-the-next-version"
    opened = SessionOpened(session, "m", 1, 1, 1)
    record = SessionRecord(PROTOCOL + 1, OpenSession(session), 0, 0, opened)
    with connect(broker_url) as broker:
        _put(broker, record)
    return session


def _put(broker: "Redis", record: SessionRecord) -> None:
    broker.set(keys.session(record.wanted.session), encode(record))
    broker.set(keys.alive(record.wanted.session), 1)
    broker.set(keys.owner(record.wanted.session), "them 1")


async def test_its_session_is_refused_and_left_alone(
    gateway: str, broker_url: str, left: str
) -> None:
    async with httpx.AsyncClient(base_url=gateway) as client:
        reply = await client.get(f"/v1/sessions/{left}")
        assert (reply.status_code, reply.json()["error"]["code"]) == (503, "incompatible_session")
        assert "create a new one" in reply.json()["error"]["message"]
        assert int(reply.headers["Retry-After"]) > 0
    with connect(broker_url) as broker:
        assert not broker.exists(keys.gateway(left)) and broker.exists(keys.session(left))


async def test_its_ticket_is_a_new_place(gateway: str, worker: PeerWorker, left: str) -> None:
    async with httpx.AsyncClient(base_url=gateway) as client:
        made = await client.post("/v1/sessions", json={"ticket": left})
        assert made.status_code == 201 and made.json()["id"] != left


async def test_its_worker_is_not_asked(gateway: str, broker_url: str, worker: PeerWorker) -> None:
    """Where there is no other, whoever runs them is told what to do."""
    worker.living = False
    with connect(broker_url) as broker:
        for key in broker.scan_iter(match=keys.WORKERS):
            broker.delete(key)
        card = {"type": "worker", "protocol": PROTOCOL + 1, "worker": "next"}
        broker.set(keys.worker("next"), msgspec.msgpack.encode(card))
        async with httpx.AsyncClient(base_url=gateway) as client:
            # It looks at the cards twice a second.
            code = await _trouble(client)
            assert code == "incompatible_worker"
            reply = await client.post("/v1/sessions", json={})
            assert reply.json()["error"]["code"] == "incompatible_worker"
            assert "install the same version" in reply.json()["error"]["message"]
        broker.delete(keys.worker("next"))


async def _trouble(client: httpx.AsyncClient) -> str:
    """Why no session can be opened, once the gateway has seen it."""
    for _ in range(400):
        reply = await client.get("/ready")
        if reply.status_code != 200:
            break
        await asyncio.sleep(0.05)
    return str(reply.json()["error"]["code"])
