"""Questions that a real broker has forgotten are found."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from broker.connection import connect_async
from broker.embedded import EmbeddedBroker
from messages import keys
from messages.questions import Ask
from server.inbox import send
from server.unread import Unread, forgotten


@pytest.fixture
async def broker() -> AsyncIterator[Any]:
    with EmbeddedBroker() as embedded:
        client = await connect_async(embedded.url)
        yield client
        await client.aclose()


async def test_what_does_not_stand_where_it_was_written_is_forgotten(broker: Any) -> None:
    unread = Unread()
    asks = [Ask("s", "a", "?"), Ask("s", "b", "?"), Ask("t", "c", "?")]
    assert await forgotten(broker, list(unread)) == []
    for ask in asks:
        unread.wrote(ask, await send(broker, ask))
    assert await forgotten(broker, list(unread)) == []
    await broker.delete(keys.inbox("s"))
    unread.answered("b")
    assert await forgotten(broker, list(unread)) == [asks[0]]
    await broker.flushall()
    assert await forgotten(broker, list(unread)) == [asks[0], asks[2]]
    unread.wrote(asks[0], await send(broker, asks[0]))
    assert await forgotten(broker, list(unread)) == [asks[2]]
