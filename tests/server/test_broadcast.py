"""Events are numbered, heard in order, replayed to those who return, and never pile up."""

import json
from typing import Any

import msgspec
import pytest

from server.broadcast import HISTORY, Broadcast, Subscription


async def _all(subscription: Subscription) -> list[dict[str, Any]]:
    subscription.end()
    return [event async for event in subscription]


async def test_everybody_hears_everything_in_order() -> None:
    broadcast = Broadcast()
    one, other = (broadcast.subscribe({"type": "hello"}) for _ in range(2))
    for number in range(5):
        broadcast.publish({"type": "tick", "number": number})
    heard = [await _all(one), await _all(other)]
    assert [e.get("number") for e in heard[0]] == [None, 0, 1, 2, 3, 4]
    assert heard[0][1:] == heard[1][1:]
    ids = [e["event_id"] for e in heard[0]]
    assert ids == sorted(set(ids))


async def test_a_returning_client_hears_what_it_missed_and_no_more() -> None:
    broadcast = Broadcast()
    first = broadcast.subscribe({"type": "hello"})
    broadcast.publish({"type": "heard"})
    broadcast.unsubscribe(first)
    last = [event async for event in first][-1]["event_id"]
    broadcast.publish({"type": "missed"})
    again = await _all(broadcast.subscribe({"type": "hello"}, after=last))
    assert [e["type"] for e in again] == ["hello", "missed"]
    new = await _all(broadcast.subscribe({"type": "hello"}))
    assert [e["type"] for e in new] == ["hello"]


async def test_a_state_is_not_told_again() -> None:
    broadcast = Broadcast()
    reader = broadcast.subscribe({"type": "hello"})
    broadcast.publish({"type": "said"})
    broadcast.show({"type": "state"})
    assert [e["type"] for e in await _all(reader)] == ["hello", "said", "state"]
    again = await _all(broadcast.subscribe({"type": "hello"}, after="event_0"))
    assert [e["type"] for e in again] == ["hello", "said"]


async def test_who_has_missed_much_gets_all_of_it() -> None:
    broadcast = Broadcast()
    for _ in range(HISTORY):
        broadcast.publish({"type": "tick"})
    late = broadcast.subscribe({"type": "hello"}, after="event_0")
    broadcast.publish({"type": "now"})
    assert not late.overflowed
    heard = await _all(late)
    assert len(heard) == HISTORY + 2 and heard[-1]["type"] == "now"


async def test_what_is_kept_is_bounded() -> None:
    broadcast = Broadcast()
    for _ in range(2 * HISTORY):
        broadcast.publish({"type": "tick"})
    assert len(broadcast._history) == HISTORY


async def test_who_never_reads_is_let_go_and_the_others_are_not() -> None:
    broadcast = Broadcast()
    sleeper = broadcast.subscribe({"type": "hello"})
    for _ in range(600):
        broadcast.publish({"type": "tick"})
    assert sleeper.overflowed
    reader = broadcast.subscribe({"type": "hello"})
    broadcast.publish({"type": "tick"})
    assert not reader.overflowed
    assert [e["type"] for e in await _all(reader)] == ["hello", "tick"]


async def test_the_end_comes_after_what_was_said() -> None:
    broadcast = Broadcast()
    subscription = broadcast.subscribe({"type": "hello"})
    broadcast.publish({"type": "goodbye"})
    broadcast.end()
    broadcast.publish({"type": "too late"})
    assert [event["type"] async for event in subscription] == ["hello", "goodbye"]
    assert len(broadcast) == 0


async def test_an_event_is_written_once_however_many_listen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    written = []
    encode = msgspec.json.encode  # the module's own, which is replaced

    def counted(event: Any) -> bytes:
        written.append(event["type"])
        return encode(event)

    monkeypatch.setattr("server.broadcast.msgspec.json.encode", counted)
    broadcast = Broadcast()
    readers = [broadcast.subscribe() for _ in range(20)]
    broadcast.publish({"type": "said", "text": "ü"})
    broadcast.show({"type": "state"})
    broadcast.end()
    heard = [[text async for text in reader.texts()] for reader in readers]
    assert written == ["said", "state"]
    assert all(texts == heard[0] for texts in heard)
    assert [json.loads(text)["type"] for text in heard[0]] == ["said", "state"]
    assert json.loads(heard[0][0])["text"] == "ü"


async def test_who_wants_one_response_hears_of_no_other() -> None:
    broadcast = Broadcast()
    one, all_of_it = broadcast.subscribe(), broadcast.subscribe()
    one.only = "resp_1"
    told: list[dict[str, Any]] = [
        {"type": "response.created", "response": {"id": "resp_1"}},
        {"type": "response.output_text.delta", "response_id": "resp_2", "delta": "No"},
        {"type": "response.output_text.delta", "response_id": "resp_1", "delta": "Yes"},
        {"type": "lookback.memory.updated", "memory": {}},
        {"type": "response.done", "response": {"id": "resp_1"}},
    ]
    for event in told:
        broadcast.publish(event)
    broadcast.end()
    assert [event["type"] async for event in one] == [told[at]["type"] for at in (0, 2, 4)]
    assert [event["type"] async for event in all_of_it] == [event["type"] for event in told]
