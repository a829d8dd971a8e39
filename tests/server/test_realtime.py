"""The websocket speaks the Realtime API's events and survives whatever is sent to it."""

import asyncio
import base64
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from broker.connection import connect as connect_broker
from messages import keys
from messages.codec import decode_to_gateway
from messages.memory import DescribeMemory


def _item(*texts: Any, **other: Any) -> dict[str, Any]:
    content = [{"type": "input_text", "text": text} for text in texts]
    item = {"type": "message", "role": "user", "content": content} | other
    return {"type": "conversation.item.create", "item": item}


_BAD_EVENTS: list[tuple[Any, str]] = [
    (bytes(range(256)), "binary_message"),
    (b"", "binary_message"),
    ("", "invalid_json"),
    ("no json", "invalid_json"),
    ("[" * 50_000, "invalid_json"),
    ('"\\ud800"', "invalid_json"),
    ("[1, 2]", "invalid_event"),
    ("{}", "invalid_event"),
    ({"type": 5}, "invalid_event"),
    ({"type": "session.destroy"}, "unknown_event_type"),
    ({"type": "conversation.item.retrieve", "item_id": "item_1"}, "unsupported_event"),
    ({"type": "conversation.item.delete", "item_id": "item_1"}, "unsupported_event"),
    ({"type": "conversation.item.truncate", "item_id": "item_1"}, "unsupported_event"),
    ({"type": "input_audio_buffer.append", "audio": "AAAA"}, "unsupported_event"),
    ({"type": "output_audio_buffer.clear"}, "unsupported_event"),
    ({"type": "conversation.item.create"}, "invalid_event"),
    (_item(), "invalid_event"),
    (_item(5), "invalid_event"),
    (_item("x", role="system"), "invalid_event"),
    (_item("x", content=[{"type": "input_audio", "audio": "x"}]), "invalid_event"),
    (_item(" \n\t "), "empty_question"),
    (_item("x" * 10_000), "question_too_long"),
    (_item("x" * 70_000), "message_too_large"),
    ({"type": "response.create", "response": {"temperature": "hot"}}, "invalid_event"),
    ({"type": "response.create", "response": {"temperature": -1}}, "invalid_event"),
    ({"type": "response.create", "response": {"max_output_tokens": 0}}, "invalid_event"),
    ('{"type": "response.create", "response": {"temperature": 1e999}}', "invalid_json"),
    ({"type": "response.create", "response": {"stop": "END"}}, "invalid_event"),
    ({"type": "response.create", "response": {"stop": [""]}}, "invalid_event"),
    ({"type": "response.create", "response": {"stop": ["x" * 65]}}, "invalid_event"),
    ({"type": "response.create", "response": {"stop": list("abcde")}}, "invalid_event"),
    ({"type": "response.create", "response": {"metadata": {"tab": 2}}}, "invalid_event"),
    ({"type": "session.update", "session": {"instructions": "Be brief."}}, "session_fixed"),
    ({"type": "session.update"}, "invalid_event"),
    ({"type": "session.update", "session": {"output_modalities": ["audio"]}}, "invalid_event"),
    ({"type": "session.update", "session": {"tools": [{"type": "function"}]}}, "invalid_event"),
    ({"type": "response.create", "response": {"instructions": "Be brief."}}, "session_fixed"),
    ({"type": "response.create", "response": {"conversation": "none"}}, "invalid_event"),
    ({"type": "response.create", "response": {"input": [{}]}}, "invalid_event"),
    ({"type": "response.create"}, "no_question"),
    ({"type": "response.cancel"}, "response_cancel_not_active"),
    ({"type": "response.cancel", "response_id": "resp_x"}, "response_cancel_not_active"),
]


async def test_bad_events_are_answered_and_the_connection_stays(gateway: str, tools: Any) -> None:
    session = tools.new_session(gateway)
    async with tools.talking(gateway, session) as client:
        for bad, code in _BAD_EVENTS:
            if isinstance(bad, dict):
                bad = {"event_id": "mine", **bad}
            await client.send(bad)
            error = await client.error()
            assert error["code"] == code, (str(bad)[:100], error)
            assert error["message"] and error["type"] == "invalid_request_error"
            assert error["event_id"] == ("mine" if isinstance(bad, dict) else None)
        async with tools.sending(gateway, session):
            await client.until("lookback.memory.updated")
            await client.ask("still there?")
            done = await client.until("response.done")
    assert done["response"]["status"] == "completed"


async def test_an_invalid_event_names_the_part_to_change(gateway: str, tools: Any) -> None:
    session = tools.new_session(gateway)
    async with tools.talking(gateway, session) as client:
        await client.send(_item(5))
        assert (await client.error())["param"] == "item.content[0].text"


async def test_a_memory_is_described_to_everybody_once_a_second_at_most(
    gateway: str, worker: Any, tools: Any
) -> None:
    session = tools.new_session(gateway)
    async with (
        tools.talking(gateway, session) as one,
        tools.talking(gateway, session) as other,
        tools.sending(gateway, session),
    ):
        await one.until("lookback.memory.updated")
        for client in (one, other) * 10:
            await client.send({"type": "lookback.memory.describe"})
        began = time.monotonic()
        told = await one.until("lookback.memory.described")
        assert (await other.until("lookback.memory.described")) == told
        for client in (one, other) * 10:
            await client.send({"type": "lookback.memory.describe"})
        await one.until("lookback.memory.described")
        assert time.monotonic() - began > 0.9
    description = told["description"]
    count = len(description["frames"])
    assert base64.b64decode(description["shares"]) == bytes(range(9)) * count
    assert (description["patches"], description["rows"], description["columns"]) == (9, 3, 3)
    assert description["tokens"] == 9 * count > 0
    assert description["next_compaction_positions"] is None
    assert len(worker.of(DescribeMemory, session)) <= 3


async def test_a_description_leaves_nothing_on_the_broker(
    gateway: str, worker: Any, broker_url: str, tools: Any
) -> None:
    session = tools.new_session(gateway)
    broker = connect_broker(broker_url)
    async with tools.talking(gateway, session) as client:
        await client.send({"type": "lookback.memory.describe"})
        told = await client.until("lookback.memory.described")
        assert (told["description"]["frames"], told["description"]["span"]) == ([], None)

        def kept() -> list[str]:
            entries = broker.xrange(keys.events(session))
            return [
                decode_to_gateway(fields[keys.FIELD]).__class__.__name__ for _, fields in entries
            ]

        await tools.eventually(lambda: kept() == ["SessionOpened"])
    broker.close()


async def test_a_returning_client_gets_what_it_missed(gateway: str, tools: Any) -> None:
    session = tools.new_session(gateway)
    async with tools.sending(gateway, session):
        async with tools.talking(gateway, session) as client:
            await client.until("lookback.memory.updated")
            await client.ask("slowly now")
            last = await client.until("response.created")
        async with tools.talking(gateway, session, after=last["event_id"]) as client:
            await client.until("response.output_item.added")
            await client.until("response.output_text.delta")
            await client.send({"type": "response.cancel"})
            done = await client.until("response.done")
    assert done["response"]["id"] == last["response"]["id"]


async def test_an_unknown_session_is_an_error_and_a_close_code(gateway: str, tools: Any) -> None:
    for address in ("none", "", "x" * 5000):
        async with tools.talking(gateway, address) as client:
            assert (await client.error())["code"] == "unknown_session"
            with pytest.raises(ConnectionClosed) as closed:
                await client.websocket.recv()
        assert closed.value.rcvd is not None and closed.value.rcvd.code == 4404


@pytest.mark.parametrize(
    ("origin", "welcome"),
    [(None, True), ("same", True), ("https://evil.example", False), ("null", False), ("//", False)],
)
async def test_pages_of_other_origins_are_refused(
    gateway: str, tools: Any, origin: str | None, welcome: bool
) -> None:
    session = tools.new_session(gateway)
    origin = gateway if origin == "same" else origin
    address = f"{gateway.replace('http', 'ws')}/v1/realtime?session={session}"
    if welcome:
        async with connect(address, origin=origin) as websocket:  # type: ignore[arg-type]
            assert json.loads(await websocket.recv())["type"] == "session.created"
        return
    with pytest.raises(InvalidStatus) as refused:
        await connect(address, origin=origin)  # type: ignore[arg-type]
    assert refused.value.response.status_code == 403
    assert json.loads(refused.value.response.body)["error"]["code"] == "foreign_origin"


async def test_an_allowed_origin_is_welcome(serve: Callable[..., str], tools: Any) -> None:
    url = serve(allowed_origins={"https://friend.example"})
    session = tools.new_session(url)
    address = f"{url.replace('http', 'ws')}/v1/realtime?session={session}"
    async with connect(address, origin="https://friend.example") as websocket:  # type: ignore[arg-type]
        assert json.loads(await websocket.recv())["type"] == "session.created"


async def test_a_client_that_never_reads_is_let_go(gateway: str, tools: Any) -> None:
    session = tools.new_session(gateway)
    async with tools.talking(gateway, session) as reader:
        address = f"{gateway.replace('http', 'ws')}/v1/realtime?session={session}"
        async with connect(address, max_queue=1) as sleeper:
            await reader.until("session.created")
            text = "x" * 3900
            for _ in range(2500):
                await sleeper.send(json.dumps({"type": text}))
                await asyncio.sleep(0)
            await reader.ask("anybody?")
            assert (await reader.error())["code"] == "no_frames_yet"
            sleeper.transport.abort()
