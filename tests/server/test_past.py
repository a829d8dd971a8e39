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


async def test_a_question_stands_where_clients_were_told_of_it(broker: Any) -> None:
    async def put(key: str, message: Any, entry: str) -> None:
        await broker.xadd(key, {keys.FIELD: encode(message)}, id=entry)

    inbox, events = keys.inbox("s"), keys.events("s")
    first, second = (f"event_0000000000200_0001_000000{n}" for n in (5, 7))
    await put(events, AnswerDelta("s", "a", 0, "one"), "200-1")
    await put(events, AnswerDelta("s", "a", 1, "two"), "250-0")  # their gateway had not heard it
    await put(inbox, Ask("s", "c", "?", told=second), "300-0")
    await put(inbox, Ask("s", "b", "?", told=first), "300-1")
    await put(inbox, Ask("s", "c", "?", told=second), "301-0")  # it was sent again
    await put(events, AnswerDelta("s", "b", 0, "three"), "300-0")
    past = await read_past(broker, "s")
    assert [entry for entry, _ in past.said] == [b"200-1", b"300-1", b"300-0", b"250-0", b"300-0"]
    assert [type(message) for _, message in past.said[1:3]] == [Ask, Ask]
