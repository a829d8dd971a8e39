"""Cards on a real broker: read, chosen, missed, and junk among them left aside."""

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from broker.connection import connect_async
from broker.embedded import EmbeddedBroker
from messages import keys
from messages.codec import encode
from messages.workers import PROTOCOL, WorkerCard
from server.workers import Workers


@pytest.fixture
async def broker() -> AsyncIterator[Any]:
    with EmbeddedBroker() as embedded:
        client = await connect_async(embedded.url)
        yield client
        await client.aclose()


async def _show(broker: Any, card: WorkerCard) -> None:
    await broker.set(keys.worker(card.worker), encode(card))


async def test_the_card_with_the_most_free_bytes_is_shown(broker: Any, tools: Any) -> None:
    workers = Workers(broker)
    await workers.look()
    assert workers.reachable and workers.card is None
    for name, used in (("a", 3000), ("b", 1000), ("c", 2000)):
        await _show(broker, msgspec.structs.replace(tools.CARD, worker=name, kv_bytes_used=used))
    await workers.look()
    assert workers.card is not None and workers.card.worker == "b"


async def test_junk_beside_a_card_does_no_harm(broker: Any, tools: Any) -> None:
    await broker.set(keys.worker("junk"), b"\xff\x00")
    await _show(broker, tools.CARD)
    workers = Workers(broker)
    await workers.look()
    assert workers.card == tools.CARD


async def test_workers_of_another_version_are_strangers(broker: Any, tools: Any) -> None:
    await _show(broker, msgspec.structs.replace(tools.CARD, protocol=PROTOCOL + 1))
    workers = Workers(broker)
    await workers.look()
    assert (workers.card, workers.models, workers.strangers) == (None, [], 1)
    unreadable = {"type": "worker", "protocol": PROTOCOL + 7, "worker": ["of", "parts"]}
    await broker.set(keys.worker("far"), msgspec.msgpack.encode(unreadable))
    await workers.look()
    assert (workers.card, workers.strangers) == (None, 2)


async def test_without_a_broker_nothing_is_known(broker: Any, tools: Any) -> None:
    await _show(broker, tools.CARD)
    workers = Workers(broker)
    await workers.look()
    assert workers.reachable
    await broker.shutdown(nosave=True)
    await workers.look()
    assert not workers.reachable and workers.card is None
