"""The supervisor with real parts: ready, started again, stopped, and nothing left behind."""

import asyncio
import base64
import json
import os
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect

from lookback.serve import ServeError, Supervisor
from lookback.settings import ServeSettings
from lookback_client import File, Lookback
from tests.lookback.conftest import (
    ROOT,
    Serving,
    alive,
    command,
    eventually,
    serving,
)
from tests.server.clients import picture


@pytest.fixture(scope="module")
def service(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with serving(model, tmp_path_factory.mktemp("serve")) as made:
        yield made


def ready(url: str) -> bool:
    return httpx.get(f"{url}/ready", trust_env=False).status_code == 200


def test_one_line_says_where_the_page_is(service: Serving) -> None:
    assert ready(service.url)
    assert "<html" in httpx.get(service.url, trust_env=False).text
    assert set(service.parts()) == {"broker", "gateway", "worker"}


def test_a_session_can_be_opened(service: Serving) -> None:
    with httpx.Client(base_url=service.url, trust_env=False) as client:
        response = client.post("/v1/sessions", json={})
        assert response.status_code == 201, response.text
        assert client.delete(f"/v1/sessions/{response.json()['id']}").status_code == 204


async def heard(client: ClientConnection, kind: str, count: int = 1) -> list[dict[str, Any]]:
    """All events up to so many of this kind."""
    events: list[dict[str, Any]] = []
    async with asyncio.timeout(60):
        while sum(event["type"] == kind for event in events) < count:
            events.append(json.loads(await client.recv()))
    return events


async def ask(client: ClientConnection, text: str) -> None:
    item = {
        "type": "message",
        "role": "user",
        "content": [{"type": "input_text", "text": text}],
    }
    await client.send(json.dumps({"type": "conversation.item.create", "item": item}))
    options = {"max_output_tokens": 8}
    await client.send(json.dumps({"type": "response.create", "response": options}))


async def test_two_ask_at_once_and_a_listener_hears_both(service: Serving, clip: Path) -> None:
    async with Lookback(service.url) as lookback, lookback.session() as session:
        await session.publish(File(clip), webrtc=True)
        address = f"{service.url.replace('http', 'ws')}/v1/realtime?session={session.id}"
        async with (
            connect(address, proxy=None) as one,
            connect(address, proxy=None) as other,
            connect(address, proxy=None) as listener,
        ):
            await heard(listener, "lookback.memory.updated")
            await asyncio.gather(ask(one, "what is it?"), ask(other, "where is it?"))
            told = [await heard(client, "response.done", 2) for client in (one, other, listener)]
            await one.send(json.dumps({"type": "lookback.memory.describe"}))
            *_, described = await heard(listener, "lookback.memory.described")
    answers = [[event for event in events if "response" in event["type"]] for events in told]
    assert answers[0] == answers[1] == answers[2]
    created, done = (
        [e["response"] for e in answers[2] if e["type"] == f"response.{kind}"]
        for kind in ("created", "done")
    )
    assert [e["id"] for e in created] == [e["id"] for e in done]
    assert {e["status"] for e in done} <= {"completed", "incomplete"}
    assert [e["lookback"]["turns_kept"] for e in done] == [0, 1]
    started = [e["response_id"] for e in answers[2] if e["type"] == "lookback.response.started"]
    assert started == [e["id"] for e in done]
    description = described["description"]
    shares = base64.b64decode(description["shares"])
    assert len(shares) == len(description["frames"]) * description["patches"] > 0


@pytest.mark.parametrize("name", ["worker", "gateway", "broker"])
def test_a_part_that_is_killed_comes_back(service: Serving, name: str) -> None:
    before = service.parts()[name]
    os.kill(before, signal.SIGKILL)
    after = eventually(lambda: service.parts().get(name) not in (before, None), name)
    assert after
    assert name in service.said

    def serves_again() -> bool:
        try:
            with httpx.Client(base_url=service.url, trust_env=False) as client:
                opened = client.post("/v1/sessions", json={})
                if opened.status_code == 201:
                    client.delete(f"/v1/sessions/{opened.json()['id']}")
                return opened.status_code == 201
        except httpx.TransportError:
            return False

    eventually(serves_again, "session")


async def test_a_memory_outlives_the_worker_that_crashed(service: Serving) -> None:
    base = service.url.replace("http", "ws")
    async with httpx.AsyncClient(base_url=service.url, trust_env=False, timeout=30) as http:
        for _ in range(100):  # what another test killed may not be back yet
            opened = await http.post("/v1/sessions")
            if opened.status_code == 201:
                break
            await asyncio.sleep(0.5)
        session = opened.json()["id"]
    async with (
        connect(f"{base}/v1/realtime?session={session}") as websocket,
        connect(f"{base}/v1/sessions/{session}/frames") as camera,
        asyncio.timeout(90),
    ):

        async def until(kind: str) -> dict[str, Any]:
            while (event := json.loads(await websocket.recv()))["type"] != kind:
                assert event["type"] != "error", event
            return event  # type: ignore[no-any-return]

        for second in range(5):
            await camera.send(struct.pack(">d", second) + picture(40 * second))
            await asyncio.sleep(0.2)
        while (await until("lookback.memory.updated"))["memory"]["frames_seen"] < 5:
            pass
        await asyncio.sleep(7)  # the next snapshot
        os.kill(service.parts()["worker"], signal.SIGKILL)
        killed_at = time.monotonic()
        assert "waits for another" in (await until("lookback.session.moving"))["message"]
        moved = await until("lookback.session.moved")
        assert moved["restored"] and moved["lost_seconds"] > 0
        assert time.monotonic() - killed_at < 60
        memory = (await until("lookback.memory.updated"))["memory"]
        assert memory["frames_seen"] == 5 and memory["span"] == [0.0, 4.0]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_everything(model: Path, tmp_path: Path, number: signal.Signals) -> None:
    service = Serving(model, tmp_path).wait_until_ready()
    parts = service.parts().values()
    service.process.send_signal(number)
    assert service.process.wait(30) == 0
    assert not [pid for pid in parts if alive(pid)]
    assert "Traceback" not in service.said


def test_a_killed_supervisor_leaves_nothing_behind(model: Path, tmp_path: Path) -> None:
    service = Serving(model, tmp_path).wait_until_ready()
    parts = service.parts().values()
    service.process.kill()
    service.process.wait()
    eventually(lambda: not [pid for pid in parts if alive(pid)], "end of the parts", 30)


def test_a_signal_stops_a_service_that_is_still_starting(model: Path, tmp_path: Path) -> None:
    service = Serving(model, tmp_path)
    parts = eventually(lambda: len(service.parts()) == 3 and service.parts(), "parts")
    service.process.terminate()
    assert service.process.wait(30) == 0
    assert parts
    assert not [pid for pid in parts.values() if alive(pid)]


def run(*arguments: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command(*arguments), capture_output=True, text=True, check=False, cwd=ROOT
    )


def test_a_taken_port_is_one_line(model: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        done = run("serve", "--port", port, "--model", model)
    assert done.returncode == 1
    assert f"Port {port}" in done.stderr
    assert "--port" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_unusable_model_ends_the_service_and_says_why(tmp_path: Path) -> None:
    done = run("serve", "--port", 0, "--model", tmp_path)
    assert done.returncode == 1
    assert str(tmp_path) in done.stderr
    assert "The worker cannot run" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_unreachable_broker_is_one_line(model: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    done = run("serve", "--port", 0, "--model", model, "--broker-url", f"redis://127.0.0.1:{port}")
    assert done.returncode == 1
    assert "No broker answers" in done.stderr
    assert "Traceback" not in done.stderr


async def test_a_host_that_is_not_ours_is_named() -> None:
    with pytest.raises(ServeError, match=r"192\.0\.2\.1"):
        await Supervisor(ServeSettings(host="192.0.2.1", port=0)).__aenter__()
