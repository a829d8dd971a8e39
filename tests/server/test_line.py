"""Sessions that wait for a worker with room are told their place, and keep it."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from broker.connection import connect, connect_async
from broker.embedded import EmbeddedBroker
from messages import keys
from messages.codec import decode_record
from messages.sessions import OpenSession
from messages.workers import PROTOCOL
from server.line import Line


@pytest.fixture
async def broker() -> AsyncIterator[Any]:
    with EmbeddedBroker() as embedded:
        client = await connect_async(embedded.url)
        yield client
        await client.aclose()


async def test_places_count_those_that_somebody_still_wants(broker: Any) -> None:
    line = Line(broker)
    for name in ("a", "b", "c"):
        await line.join(OpenSession(name), None, "", 60)
    assert [await line.place(name) for name in ("a", "b", "c", "d")] == [0, 1, 2, None]
    await broker.delete(keys.alive("a"))
    assert [await line.place(name) for name in ("b", "c")] == [0, 1]
    await line.leave("b")
    assert await line.place("c") == 0
    assert await broker.exists(keys.alive("b"), keys.session("b")) == 0


async def test_who_has_lost_a_worker_comes_first(broker: Any) -> None:
    line = Line(broker)
    await line.join(OpenSession("new"), None, "", 60)
    lost = await line.join(OpenSession("lost", 144, "Be short."), "key-1", "", 60)
    await line.again(lost)
    assert [await line.place(name) for name in ("lost", "new")] == [0, 1]
    record = decode_record(await broker.get(keys.session("lost")))
    assert record == lost
    assert (record.protocol, record.owner, record.opened) == (PROTOCOL, "key-1", None)
    assert await broker.xlen(keys.WAKE) == 1


def _ask(url: str, **wanted: Any) -> dict[str, Any]:
    reply = httpx.post(f"{url}/v1/sessions", json=wanted)
    assert (reply.status_code, reply.headers["retry-after"]) == (503, "2"), reply.text
    error: dict[str, Any] = reply.json()["error"]
    assert (error["type"], error["code"]) == ("server_error", "no_room")
    return error


async def test_a_full_worker_makes_sessions_wait_in_their_order(gateway: str, worker: Any) -> None:
    worker.taking = False
    first = await asyncio.to_thread(_ask, gateway)
    second = await asyncio.to_thread(_ask, gateway)
    assert "next" in first["message"] and "1 session waits before" in second["message"]
    places = [each["lookback"]["queue_position"] for each in (first, second)]
    assert places == [0, 1]
    again = await asyncio.to_thread(_ask, gateway, ticket=second["lookback"]["ticket"])
    assert again["lookback"] == second["lookback"]
    worker.taking = True
    opened = await asyncio.to_thread(
        httpx.post, f"{gateway}/v1/sessions", json={"ticket": second["lookback"]["ticket"]}
    )
    assert (opened.status_code, opened.json()["id"]) == (201, second["lookback"]["ticket"])
    order = [record.wanted.session for record in worker.opened]
    assert order == [second["lookback"]["ticket"]]  # who had the first place is away


async def test_room_is_taken_when_somebody_asks_with_their_ticket(
    gateway: str, worker: Any
) -> None:
    worker.taking = False
    ticket = (await asyncio.to_thread(_ask, gateway))["lookback"]["ticket"]
    state = await asyncio.to_thread(httpx.get, f"{gateway}/v1/sessions/{ticket}")
    assert state.status_code == 404  # nobody has it yet
    worker.taking = True
    await asyncio.sleep(1.0)
    assert not worker.opened  # nobody is there
    began = time.monotonic()
    reply = await asyncio.to_thread(httpx.post, f"{gateway}/v1/sessions", json={"ticket": ticket})
    assert (reply.status_code, reply.json()["id"]) == (201, ticket)
    assert time.monotonic() - began < 1.5


async def test_a_place_runs_out_where_nobody_asks_again(serve: Any, worker: Any) -> None:
    url = serve(ticket_seconds=0.2)
    worker.taking = False
    ticket = (await asyncio.to_thread(_ask, url))["lookback"]["ticket"]
    await asyncio.sleep(0.4)
    anew = await asyncio.to_thread(_ask, url, ticket=ticket)
    assert anew["lookback"]["ticket"] != ticket
    assert anew["lookback"]["queue_position"] == 0


async def test_the_queue_has_an_end(serve: Any, worker: Any) -> None:
    url = serve(waiting_sessions=1)
    worker.taking = False
    await asyncio.to_thread(_ask, url)
    reply = await asyncio.to_thread(httpx.post, f"{url}/v1/sessions")
    assert (reply.status_code, reply.headers["retry-after"]) == (503, "10")
    assert reply.json()["error"]["code"] == "queue_full"


def test_one_caller_has_no_more_than_its_part_of_the_queue(
    serve: Callable[..., str], worker: Any, broker_url: str
) -> None:
    url = serve(waiting_each=2)
    worker.taking = False
    with connect(broker_url) as broker:
        broker.delete(keys.QUEUE)
    tickets = [_ask(url)["lookback"]["ticket"] for _ in range(2)]
    reply = httpx.post(f"{url}/v1/sessions", json={})
    assert (reply.status_code, reply.headers["retry-after"]) == (429, "2")
    assert reply.json()["error"]["code"] == "too_many_waiting"
    # Those that wait may be asked for as before.
    assert _ask(url, ticket=tickets[1])["lookback"]["ticket"] == tickets[1]
    with connect(broker_url) as broker:
        broker.delete(keys.QUEUE)


async def test_places_are_counted_by_who_has_them(broker: Any) -> None:
    line = Line(broker)
    assert await line.held_by("a") == 0
    for name, party in (("1", "a"), ("2", "b"), ("3", "a")):
        await line.join(OpenSession(name), None, party, 60)
    await broker.zadd(keys.QUEUE, {"gone": 9.0})
    await broker.set(keys.session("2"), b"\xff")
    assert [await line.held_by(party) for party in ("a", "b")] == [2, 0]
    await broker.delete(keys.alive("3"))
    assert await line.held_by("a") == 1
