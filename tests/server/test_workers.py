"""Cards on a real broker: read, chosen, missed, and junk among them left aside."""

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from broker.connection import connect_async
from broker.embedded import EmbeddedBroker
from messages import keys
from messages.codec import encode
from messages.workers import WorkerCard
from server.workers import Workers


@pytest.fixture
async def broker() -> AsyncIterator[Any]:
    with EmbeddedBroker() as embedded:
        client = await connect_async(embedded.url)
        yield client
        await client.aclose()


async def _show(broker: Any, card: WorkerCard) -> None:
    await broker.set(keys.worker(card.worker), encode(card))


async def test_the_worker_with_the_fewest_sessions_is_chosen(broker: Any, tools: Any) -> None:
    workers = Workers(broker, 0)
    await workers.look()
    assert workers.reachable and workers.card is None
    for name, sessions in (("a", 3), ("b", 1), ("c", 2)):
        await _show(broker, msgspec.structs.replace(tools.CARD, worker=name, sessions=sessions))
    await workers.look()
    assert workers.card is not None and workers.card.worker == "b"


async def test_junk_beside_a_card_does_no_harm(broker: Any, tools: Any) -> None:
    await broker.set(keys.worker("junk"), b"\xff\x00")
    await _show(broker, tools.CARD)
    workers = Workers(broker, 0)
    await workers.look()
    assert workers.card == tools.CARD


async def test_a_worker_is_gone_after_the_grace_and_not_while_nobody_can_look(
    broker: Any, tools: Any
) -> None:
    patient, hasty = Workers(broker, 60), Workers(broker, 0)
    await _show(broker, tools.CARD)
    for workers in (patient, hasty):
        await workers.look()
        assert not workers.gone(tools.CARD.worker)
    await broker.delete(keys.worker(tools.CARD.worker))
    for workers in (patient, hasty):
        await workers.look()
    assert hasty.gone(tools.CARD.worker) and not patient.gone(tools.CARD.worker)
    await broker.shutdown(nosave=True)
    await hasty.look()
    assert not hasty.reachable and hasty.card is None
    assert not hasty.gone(tools.CARD.worker)
