"""The supervisor with real parts: ready, started again, stopped, and nothing left behind."""

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from lookback.serve import ServeError, Supervisor
from lookback.settings import ServeSettings
from tests.lookback.conftest import (
    ROOT,
    Serving,
    alive,
    command,
    eventually,
    serving,
)


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
