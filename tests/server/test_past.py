"""What the streams on the broker still know, in the order in which it was said."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from broker.connection import connect_async
from broker.embedded import EmbeddedBroker
from messages import keys
from messages.answers import AnswerDelta, AnswerDone
from messages.codec import encode
from messages.frames import Frame
from messages.questions import Ask, Cancel
from server.inbox import send
from server.past import read_past


@pytest.fixture
async def broker() -> AsyncIterator[Any]:
    with EmbeddedBroker() as embedded:
        client = await connect_async(embedded.url)
        yield client
        await client.aclose()


async def test_a_session_that_said_nothing_has_no_past(broker: Any) -> None:
    past = await read_past(broker, "s")
    assert (past.said, past.read_to, past.frame) == ([], b"0", None)


async def test_questions_stand_before_their_answers(broker: Any) -> None:
    async def put(key: str, message: Any, entry: str) -> None:
        await broker.xadd(key, {keys.FIELD: encode(message)}, id=entry)

    inbox, events = keys.inbox("s"), keys.events("s")
    await put(inbox, Ask("s", "old", "?"), "100-0")  # its answer is not known any more
    await put(events, AnswerDelta("s", "a", 0, "one"), "200-0")
    await put(inbox, Ask("s", "b", "?"), "300-5")
    await put(events, AnswerDelta("s", "b", 0, "two"), "300-0")  # in the same millisecond
    await put(inbox, Cancel("s", "b"), "301-0")
    await broker.xadd(events, {keys.FIELD: b"junk"}, id="302-0")
    await put(events, AnswerDone("s", "b", "completed"), "303-0")
    await put(keys.frames("s"), Frame("s", 7, 3.5, 1e9, b"jpeg"), "400-0")
    past = await read_past(broker, "s")
    order = [(entry, type(message).__name__) for entry, message in past.said]
    assert order == [
        (b"200-0", "AnswerDelta"),
        (b"300-5", "Ask"),
        (b"300-0", "AnswerDelta"),
        (b"303-0", "AnswerDone"),
    ]
    assert past.read_to == b"303-0"
    assert past.frame is not None and past.frame.number == 7


async def test_an_inbox_is_bounded_and_ends_by_itself(broker: Any) -> None:
    for number in range(keys.INBOX_LENGTH + 5):
        await send(broker, Cancel("s", str(number)))
    assert await broker.xlen(keys.inbox("s")) == keys.INBOX_LENGTH
    assert 0 < await broker.ttl(keys.inbox("s")) <= keys.RECORD_TTL_SECONDS
