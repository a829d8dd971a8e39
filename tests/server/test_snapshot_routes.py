"""Sessions as files over HTTP, with a peer in the worker's place."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from broker.connection import connect
from messages import keys
from messages.files import PIECES_AHEAD, SaveSession
from tests.server.keyed import bearer, keyed
from tests.server.peer import snapshot


def test_a_file_is_what_the_worker_gives(gateway: str, worker: Any, tools: Any) -> None:
    session = tools.new_session(gateway)
    worker.exporting = snapshot(size=12_345)
    reply = httpx.get(f"{gateway}/v1/sessions/{session}/snapshot", params={"option": "8-bit"})
    assert (reply.status_code, reply.content) == (200, worker.exporting)
    assert reply.headers["content-type"] == "application/octet-stream"
    assert reply.headers["content-disposition"] == f'attachment; filename="{session[:8]}.lbmem"'
    [asked] = worker.of(SaveSession, session)
    assert asked.option == "8-bit"
    worker.exporting = "out of memory"
    reply = httpx.get(f"{gateway}/v1/sessions/{session}/snapshot")
    assert (reply.status_code, reply.headers["retry-after"]) == (503, "2")
    error = reply.json()["error"]
    assert error["code"] == "export_failed" and "out of memory" in error["message"]
    assert httpx.get(f"{gateway}/v1/sessions/nobody/snapshot").status_code == 404
    assert httpx.get(f"{gateway}/v1/sessions/{session}/snapshot?option=9").status_code == 422


def test_a_worker_that_gives_nothing_is_waited_for_and_no_longer(
    serve: Callable[..., str], worker: Any, tools: Any
) -> None:
    url = serve(open_seconds=1.5)
    session = tools.new_session(url)
    worker.living = False
    reply = httpx.get(f"{url}/v1/sessions/{session}/snapshot")
    worker.living = True
    assert reply.status_code == 503 and "silent" in reply.json()["error"]["message"]


async def test_a_session_goes_on_after_what_was_seen(
    gateway: str, worker: Any, broker_url: str, tools: Any
) -> None:
    file = snapshot(7, 30.5, size=12 << 20)  # more than may wait on the broker
    assert len(file) >> 20 > PIECES_AHEAD
    address = f"{gateway}/v1/sessions/import"
    reply = await asyncio.to_thread(httpx.post, address, content=file, timeout=30)
    assert reply.status_code == 201, reply.text
    made = reply.json()
    assert (made["budget_tokens"], made["instructions"]) == (144, "Be short.")
    assert worker.imported[-1] == file
    record = worker.opened[-1]
    assert (record.wanted.session, record.imported.model) == (made["id"], "peer")
    async with tools.talking(gateway, made["id"]) as client:
        await client.ask("what was it")  # no camera is needed any more
        async with tools.sending(gateway, made["id"]):
            assert (await client.until("response.done"))["response"]["status"] == "completed"
    mine = [frame for frame in worker.frames if frame.session == made["id"]]
    assert mine[0].number == 7 and mine[0].timestamp > 30.5
    with connect(broker_url) as broker:
        assert not broker.exists(keys.file(record.imported.channel))


def test_what_the_worker_says_of_a_file_is_told(gateway: str, worker: Any) -> None:
    worker.refusal = "the snapshot is damaged in chunk KEYS 1"
    reply = httpx.post(f"{gateway}/v1/sessions/import", content=snapshot())
    assert (reply.status_code, reply.json()["error"]["code"]) == (422, "invalid_snapshot")
    assert reply.json()["error"]["message"] == "The snapshot is damaged in chunk KEYS 1."
    assert httpx.post(f"{gateway}/v1/sessions/import", content=b"").status_code == 422


def test_a_place_in_the_queue_is_kept_for_a_file(
    gateway: str, worker: Any, broker_url: str
) -> None:
    address = f"{gateway}/v1/sessions/import"
    worker.taking = False
    reply = httpx.post(address, content=snapshot())
    error = reply.json()["error"]
    assert (reply.status_code, error["code"]) == (503, "no_room")
    ticket = error["lookback"]["ticket"]
    # Under it waits a session with a file, and no other.
    other = httpx.post(f"{gateway}/v1/sessions", json={"ticket": ticket}).json()["error"]
    assert other["lookback"]["queue_position"] == 1
    worker.taking = True
    made = httpx.post(address, params={"ticket": ticket}, content=snapshot())
    assert (made.status_code, made.json()["id"]) == (201, ticket)
    with connect(broker_url) as broker:
        broker.delete(keys.QUEUE)


@pytest.mark.parametrize("announced", [True, False])
def test_too_much_is_refused(serve: Callable[..., str], announced: bool) -> None:
    url = serve(import_bytes=1 << 20)
    file = snapshot(size=1 << 20)
    content = file if announced else iter([file[: 1 << 19], file[1 << 19 :]])
    reply = httpx.post(f"{url}/v1/sessions/import", content=content)
    assert (reply.status_code, reply.json()["error"]["code"]) == (413, "body_too_large")


def test_only_who_manages_a_session_may_take_it_along(broker_url: str, tmp_path: Path) -> None:
    with keyed(broker_url, tmp_path) as gateway:
        session = gateway.session()
        path = f"/v1/sessions/{session}/snapshot"
        with gateway.http("all") as its_own, gateway.http("other") as anothers:
            assert its_own.get(path).status_code == 200
            assert anothers.get(path).status_code == 404
        token = bearer(gateway.token(session))
        for reply in (
            httpx.get(gateway.url + path, headers=token),
            httpx.post(f"{gateway.url}/v1/sessions/import", content=snapshot(), headers=token),
        ):
            assert (reply.status_code, reply.json()["error"]["code"]) == (403, "not_allowed")
