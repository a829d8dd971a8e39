"""What a session's clients are told when its worker is lost, and when another gateway serves it."""

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect as connect_websocket
from websockets.exceptions import ConnectionClosed

from broker.connection import connect
from messages import keys
from messages.sessions import SessionMoved
from server.settings import GatewaySettings
from tests.server.peer import PeerWorker


async def test_another_worker_takes_over_and_the_truth_is_told(
    gateway: str, worker: Any, broker_url: str, tools: Any
) -> None:
    session = tools.new_session(gateway)
    async with tools.talking(gateway, session) as client, tools.sending(gateway, session):
        await client.until("lookback.memory.updated")
        await client.ask("slowly now")
        await client.until("response.output_text.delta")
        worker.living = False
        lost_at = time.monotonic()
        with PeerWorker(broker_url, "peer-2") as second:
            moving = await client.until("lookback.session.moving")
            assert "waits for another" in moving["message"]
            done = (await client.until("response.done"))["response"]
            assert done["status"] == "failed"
            assert "ask again" in done["status_details"]["message"]
            moved = await client.until("lookback.session.moved")
            assert time.monotonic() - lost_at < 10
            assert (moved["restored"], moved["lost_seconds"]) == (False, None)
            await client.until("lookback.memory.updated")
            await client.ask("and now")
            assert (await client.until("response.done"))["response"]["status"] == "completed"
            # The first one wakes up, and what it says is not believed: nothing of it is written
            # by a real worker, whose writes are fenced.
            worker.living = True
            await tools.eventually(lambda: session not in worker.leases)
            assert session in second.leases


async def test_without_another_worker_the_session_ends_in_words(
    serve: Callable[..., str], worker: Any, tools: Any
) -> None:
    url = serve(takeover_seconds=2.5)
    session = tools.new_session(url)
    async with tools.talking(url, session) as client:
        await client.until("session.created")
        worker.living = False
        await client.until("lookback.session.moving")
        closed = await client.until("lookback.session.closed")
    assert closed["reason"] == "worker_lost" and "no other" in closed["message"]


async def test_a_worker_that_was_only_slow_has_lost_nothing(
    gateway: str, worker: Any, tools: Any
) -> None:
    session = tools.new_session(gateway)
    async with tools.talking(gateway, session) as client:
        await client.until("session.created")
        worker.living = False
        await client.until("lookback.session.moving")
        worker.living = True
        moved = await client.until("lookback.session.moved")
    assert (moved["restored"], moved["lost_seconds"]) == (True, 0.0)


async def test_questions_that_another_worker_still_answers_have_not_failed(
    gateway: str, worker: Any, tools: Any
) -> None:
    session = tools.new_session(gateway)
    async with tools.talking(gateway, session) as client, tools.sending(gateway, session):
        await client.until("lookback.memory.updated")
        await client.ask("slowly now")
        await client.until("response.output_text.delta")
        worker.say(SessionMoved(session, "peer-1", True, 1.5, questions=True))
        moved = await client.until("lookback.session.moved")
        assert moved["lost_seconds"] == 1.5
        await client.send({"type": "response.cancel"})
        assert (await client.until("response.done"))["response"]["status"] == "cancelled"


async def test_a_question_that_the_broker_forgot_is_sent_again(
    gateway: str, broker_url: str, worker: Any, tools: Any
) -> None:
    session = tools.new_session(gateway)
    async with tools.talking(gateway, session) as client, tools.sending(gateway, session):
        await client.until("lookback.memory.updated")
        worker.living = False  # so that it does not read
        await asyncio.sleep(0.1)
        await client.ask("one two")
        with connect(broker_url) as broker:
            await tools.eventually(lambda: broker.xlen(keys.inbox(session)))
            broker.flushall()
        worker.living = True
        done = await client.until("response.done")
        assert done["response"]["status"] == "completed", done
        created = [event for event in client.events if event["type"] == "response.created"]
        assert len(created) == 1


async def _answer(url: str, session: str, after: str = "") -> list[dict[str, Any]]:
    """All events to the end of an answer; without `after` it is asked for."""
    address = url.replace("http", "ws") + f"/v1/realtime?session={session}"
    events = []
    async with connect_websocket(f"{address}&after={after}" if after else address) as websocket:
        if not after:
            content = [{"type": "input_text", "text": "one two three"}]
            item = {"type": "message", "role": "user", "content": content}
            await websocket.send(json.dumps({"type": "conversation.item.create", "item": item}))
            wanted = {"metadata": {"tab": "2"}}
            await websocket.send(json.dumps({"type": "response.create", "response": wanted}))
        async with asyncio.timeout(20):
            while not events or events[-1]["type"] != "response.done":
                events.append(json.loads(await websocket.recv()))
    return events


async def test_another_gateway_goes_on_where_one_was_lost(
    gateway: str, broker_url: str, worker: Any, tools: Any
) -> None:
    session = tools.new_session(gateway)
    async with tools.sending(gateway, session):
        async with tools.talking(gateway, session) as client:
            await client.until("lookback.memory.updated")
        before = await _answer(gateway, session)
    frames = len(worker.frames)
    broker = connect(broker_url)
    await tools.eventually(lambda: broker.exists(keys.gateway(session)))
    with tools.serving(broker_url=broker_url) as other:
        address = f"{other}/v1/sessions/{session}"
        reply = await asyncio.to_thread(httpx.get, address)
        assert reply.status_code == 503
        assert reply.json()["error"]["code"] == "session_elsewhere"
        assert "retry-after" in reply.headers
        broker.delete(keys.gateway(session))  # as when it was killed some seconds ago
        assert (await asyncio.to_thread(httpx.get, address)).status_code == 200
        broker.close()
        # The events that a client has missed are the same ones, by their ids.
        [first] = [e for e in before if e["type"] == "lookback.response.started"]
        wanted = [e for e in before if e["event_id"] > first["event_id"]]
        after = await _answer(other, session, after=first["event_id"])
        kinds = ("response.output_text.delta", "response.done")
        assert after[-1]["response"]["metadata"] == {"tab": "2"}
        # What was told by the gateway alone is told once, too, and in its place.
        [created] = [e for e in before if e["type"] == "response.created"]
        assert created["event_id"] < first["event_id"]
        assert not [e for e in after if e["type"] == "response.created"]
        earlier = before[before.index(created) - 1]["event_id"]
        again = await _answer(other, session, after=earlier)
        assert [e for e in again if e["type"] == "response.created"] == [created]
        assert [e["event_id"] for e in again[1:]] == sorted(e["event_id"] for e in again[1:])
        assert [e for e in after if e["type"] in kinds] == [e for e in wanted if e["type"] in kinds]
        # The camera goes on there, later on the same time line.
        async with tools.sending(other, session):
            await tools.eventually(lambda: len(worker.frames) > frames + 1)
        mine = [frame for frame in worker.frames if frame.session == session]
        assert [f.timestamp for f in mine] == sorted({f.timestamp for f in mine})
        assert [f.number for f in mine] == sorted({f.number for f in mine})


async def test_a_gateway_that_stops_leaves_its_sessions_to_the_next(
    broker_url: str, worker: Any, tools: Any
) -> None:
    settings = GatewaySettings(broker_url=broker_url)
    with tools.serving(**settings.model_dump(include={"broker_url"})) as url:
        session = tools.new_session(url)
        address = url.replace("http", "ws") + f"/v1/realtime?session={session}"
        websocket = await connect_websocket(address)
        assert json.loads(await websocket.recv())["type"] == "session.created"
    with pytest.raises(ConnectionClosed) as end:
        while True:
            await websocket.recv()
    assert end.value.rcvd is not None and end.value.rcvd.code == 1012
    with tools.serving(broker_url=broker_url) as url:
        state = await asyncio.to_thread(httpx.get, f"{url}/v1/sessions/{session}")
        assert state.status_code == 200


async def test_a_session_that_nobody_has_joined_goes_to_the_gateway_that_is_asked(
    gateway: str, broker_url: str, worker: Any, tools: Any
) -> None:
    session = tools.new_session(gateway)
    with tools.serving(broker_url=broker_url) as other:
        async with tools.talking(other, session) as client:
            await client.until("session.created")
            broker = connect(broker_url)
            await tools.eventually(lambda: broker.exists(keys.gateway(session)))
            broker.close()

            def refused() -> bool:
                reply = httpx.get(f"{gateway}/v1/sessions/{session}")
                return reply.status_code == 503 and "session_elsewhere" in reply.text

            await tools.eventually(refused)
