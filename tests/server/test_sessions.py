"""Sessions are opened on a worker, refused in words, and freed when nobody needs them."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed

from broker.connection import connect
from messages import keys
from messages.codec import decode_to_worker
from messages.sessions import CloseSession, OpenSession, SessionClosed


def test_a_session_is_opened_described_and_deleted(gateway: str, worker: Any) -> None:
    reply = httpx.post(f"{gateway}/v1/sessions", json={"budget_tokens": 144})
    assert reply.status_code == 201
    session = reply.json()
    assert (session["model"], session["budget_tokens"]) == ("peer", 144)
    assert (session["cap_tokens"], session["kv_bytes"]) == (216, 1000)
    [record] = worker.opened
    assert record.wanted == OpenSession(session["id"], 144, None)
    address = f"{gateway}/v1/sessions/{session['id']}"
    state = httpx.get(address).json()
    assert (state["memory"], state["camera"]["state"], state["websockets"]) == (None, "none", 0)
    assert httpx.delete(address).status_code == 204
    assert httpx.delete(address).status_code == 404
    assert httpx.get(address).status_code == 404


def test_a_session_needs_no_body_and_takes_the_default(gateway: str, worker: Any) -> None:
    session = httpx.post(f"{gateway}/v1/sessions").json()["id"]
    assert worker.opened[0].wanted == OpenSession(session)


@pytest.mark.parametrize(("method", "path"), [("DELETE", ""), ("POST", "/close")])
async def test_the_memory_is_freed_before_closing_is_confirmed(
    gateway: str, worker: Any, broker_url: str, tools: Any, method: str, path: str
) -> None:
    session = tools.new_session(gateway)
    broker = connect(broker_url)
    async with (
        tools.talking(gateway, session) as client,
        tools.sending(gateway, session),
        httpx.AsyncClient(base_url=gateway) as http,
    ):
        await client.until("lookback.memory.updated")
        reply = await http.request(method, f"/v1/sessions/{session}{path}")
        assert reply.status_code == 204
        # The worker may have read it, and deleted the inbox, by now.
        said = [fields[keys.FIELD] for _, fields in broker.xrange(keys.inbox(session))]
        heard = worker.of(CloseSession, session)
        assert CloseSession(session) in [*heard, *(decode_to_worker(data) for data in said)]
        assert broker.exists(keys.alive(session), keys.frames(session)) == 0
        closed = await client.until("lookback.session.closed")
        assert closed["reason"] == "closed"
    broker.close()
    await tools.eventually(lambda: worker.of(CloseSession, session))


async def test_a_client_that_vanishes_frees_its_memory_within_ten_seconds(
    gateway: str, worker: Any, tools: Any
) -> None:
    session = tools.new_session(gateway)
    async with tools.sending(gateway, session) as track:
        async with tools.talking(gateway, session) as client:
            await client.until("lookback.memory.updated")
            client.websocket.transport.abort()
        track.vanish()
        vanished = time.monotonic()
        await tools.eventually(lambda: worker.of(CloseSession, session))
        took = time.monotonic() - vanished
    assert 4 < took < 10
    assert (
        await asyncio.to_thread(httpx.get, f"{gateway}/v1/sessions/{session}")
    ).status_code == 404


async def test_a_client_that_returns_in_time_keeps_its_session(
    serve: Callable[..., str], worker: Any, tools: Any
) -> None:
    url = serve(orphan_seconds=3)
    session = tools.new_session(url)
    for _ in range(3):
        async with tools.talking(url, session) as client:
            await client.until("session.created")
        await asyncio.sleep(1.5)
    assert not worker.of(CloseSession, session)
    await tools.eventually(lambda: worker.of(CloseSession, session))


async def test_a_camera_alone_keeps_a_session(
    serve: Callable[..., str], worker: Any, tools: Any
) -> None:
    url = serve(orphan_seconds=1.5)
    session = tools.new_session(url)
    async with tools.sending(url, session):
        await asyncio.sleep(4)
        assert not worker.of(CloseSession, session)
    await tools.eventually(lambda: worker.of(CloseSession, session))


async def test_a_session_that_nobody_joins_ends(
    serve: Callable[..., str], worker: Any, tools: Any
) -> None:
    session = tools.new_session(serve(idle_seconds=0.5))
    await tools.eventually(lambda: worker.of(CloseSession, session))


async def test_a_quiet_session_ends_although_a_page_is_open(
    serve: Callable[..., str], worker: Any, tools: Any
) -> None:
    url = serve(quiet_seconds=1)
    session = tools.new_session(url)
    async with tools.talking(url, session) as client:
        closed = await client.until("lookback.session.closed")
        assert closed["reason"] == "expired"
        with pytest.raises(ConnectionClosed) as end:
            await client.websocket.recv()
    assert end.value.rcvd is not None and end.value.rcvd.code == 1000


async def test_a_session_is_kept_alive_on_the_broker(
    gateway: str, broker_url: str, tools: Any
) -> None:
    session = tools.new_session(gateway)
    broker = connect(broker_url)
    await asyncio.sleep(keys.ALIVE_TTL_SECONDS + 1.5)
    assert broker.pttl(keys.alive(session)) > 1000
    broker.close()


def test_a_budget_that_can_never_fit_is_the_clients_to_change(gateway: str, worker: Any) -> None:
    worker.refusal = "Ask for a smaller budget_tokens."
    reply = httpx.post(f"{gateway}/v1/sessions", json={"budget_tokens": 10**7})
    assert reply.status_code == 422 and "retry-after" not in reply.headers
    assert reply.json()["error"]["param"] == "budget_tokens"


def test_instructions_are_shown(gateway: str, tools: Any) -> None:
    for given, shown in (("  Answer in one word.\n", "Answer in one word."), (" ", None)):
        session = tools.new_session(gateway, instructions=given)
        assert httpx.get(f"{gateway}/v1/sessions/{session}").json()["instructions"] == shown


async def test_instructions_reach_the_worker_and_are_fixed(
    gateway: str, worker: Any, tools: Any
) -> None:
    session = tools.new_session(gateway, instructions="  Answer in one word.\n")
    assert worker.opened[0].wanted.instructions == "Answer in one word."
    async with tools.talking(gateway, session) as client:
        created = await client.until("session.created")
        assert created["session"]["instructions"] == "Answer in one word."
        await client.send(
            {"type": "session.update", "event_id": "u", "session": {"instructions": "Shout."}}
        )
        error = await client.error()
    assert (error["code"], error["param"]) == ("session_fixed", "session.instructions")
    assert error["event_id"] == "u" and "POST /v1/sessions" in error["message"]


def test_instructions_have_a_limit(gateway: str, worker: Any, tools: Any) -> None:
    tools.new_session(gateway, instructions="é" * 2000)
    reply = httpx.post(f"{gateway}/v1/sessions", json={"instructions": "é" * 2001})
    assert reply.status_code == 422
    error = reply.json()["error"]
    assert (error["code"], error["param"]) == ("instructions_too_long", "instructions")
    assert "2001 characters; give at most 2000" in error["message"]


def test_a_worker_that_refuses_the_instructions_is_quoted(gateway: str, worker: Any) -> None:
    worker.refusal = "The instructions have 900 tokens: 512 fit."
    reply = httpx.post(f"{gateway}/v1/sessions", json={"instructions": "long"})
    assert (reply.status_code, reply.json()["error"]["param"]) == (422, None)
    assert "512 fit" in reply.json()["error"]["message"]


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        (b'{"budget_tokens": 0}', 422, "budget_tokens"),
        (b'{"budget_tokens": -5}', 422, "budget_tokens"),
        (b'{"budget_tokens": 1.5}', 422, "budget_tokens"),
        (b'{"budget_tokens": "many"}', 422, "budget_tokens"),
        (b'{"budget_tokens": 1e999}', 422, "budget_tokens"),
        (b'{"budget": 5}', 422, "budget"),
        (b'{"instructions": 5}', 422, "instructions"),
        (b'{"instructions": "\\ud800"}', 422, "instructions"),
        (b"[]", 422, None),
        (b"{", 400, None),
        (b"\xff\xfe", 400, None),
        (b'{"budget_tokens": ' + b"1" * 140_000 + b"}", 413, None),
    ],
)
def test_bad_bodies_are_refused_in_one_shape(
    gateway: str, body: bytes, status: int, param: str | None
) -> None:
    headers = {"content-type": "application/json"}
    reply = httpx.post(f"{gateway}/v1/sessions", content=body, headers=headers)
    assert reply.status_code == status, reply.text
    error = reply.json()["error"]
    assert set(error) == {"type", "code", "message", "param"}
    assert error["param"] == param


def test_a_body_without_a_length_is_bounded_too(gateway: str) -> None:
    chunks = (b" " * 50_000 for _ in range(10))
    headers = {"content-type": "application/json"}
    reply = httpx.post(f"{gateway}/v1/sessions", content=chunks, headers=headers)
    assert (reply.status_code, reply.json()["error"]["code"]) == (413, "body_too_large")


def test_a_page_of_another_origin_cannot_take_memory(gateway: str) -> None:
    reply = httpx.post(f"{gateway}/v1/sessions", headers={"origin": "https://evil.example"})
    assert (reply.status_code, reply.json()["error"]["code"]) == (403, "foreign_origin")
    assert httpx.post(f"{gateway}/v1/sessions", headers={"origin": gateway}).status_code == 201


def test_no_worker_is_said_at_once(serve: Callable[..., str], worker: Any) -> None:
    url = serve()
    worker.living = False
    deadline = time.monotonic() + 20
    while httpx.get(f"{url}/ready").status_code == 200:
        assert time.monotonic() < deadline
    assert httpx.get(f"{url}/ready").json()["error"]["code"] == "no_worker"
    assert httpx.get(f"{url}/health").status_code == 200
    reply = httpx.post(f"{url}/v1/sessions")
    assert (reply.status_code, reply.headers["retry-after"]) == (503, "2")


async def test_a_worker_that_closes_a_session_is_believed(
    gateway: str, worker: Any, tools: Any
) -> None:
    session = tools.new_session(gateway)
    async with tools.talking(gateway, session) as client:
        await client.until("session.created")
        worker.say(SessionClosed(session, "failed", "The model failed."))
        closed = await client.until("lookback.session.closed")
    assert (closed["reason"], closed["message"]) == ("failed", "The model failed.")


async def test_junk_on_the_event_stream_harms_nobody(
    gateway: str, worker: Any, broker_url: str, tools: Any
) -> None:
    session = tools.new_session(gateway)
    broker = connect(broker_url)
    broker.xadd(keys.events(session), {keys.FIELD: b"\x00junk"})
    broker.xadd(keys.events(session), {b"other": b"field"})
    broker.close()
    async with tools.talking(gateway, session) as client, tools.sending(gateway, session):
        await client.until("lookback.memory.updated")
        await client.ask("hello")
        assert (await client.until("response.done"))["response"]["status"] == "completed"
