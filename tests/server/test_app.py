"""The gateway starts, says whether it is ready, and has one shape for every error."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from broker.connection import BrokerError, connect
from broker.embedded import EmbeddedBroker
from messages import keys
from messages.sessions import CloseSession
from server.app import GatewayError, run
from server.settings import GatewaySettings


def test_health_and_ready(gateway: str) -> None:
    assert httpx.get(f"{gateway}/health").json() == {"status": "ok"}
    ready = httpx.get(f"{gateway}/ready")
    assert ready.status_code == 200
    assert ready.json()["worker"]["model"] == "peer"


def test_a_page_and_a_clip(serve: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("<h1>Lookback</h1>")
    (tmp_path / "objects.mp4").write_bytes(bytes(range(256)))
    url = serve(client_folder=tmp_path, samples_folder=tmp_path)
    for path in ("/", "/index.html", "/static/index.html"):
        page = httpx.get(url + path)
        assert page.status_code == 200 and "Lookback" in page.text
        assert page.headers["cache-control"] == "no-cache"
    part = httpx.get(f"{url}/sample.mp4", headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, bytes(range(10, 20)))
    missing = httpx.get(f"{url}/sample.json")
    assert missing.status_code == 404 and missing.json()["error"]["code"] == "no_sample"


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing/here", 404, "not_found"),
        ("PATCH", "/v1/sessions", 405, "method_not_allowed"),
        ("GET", "/v1/sessions/none", 404, "unknown_session"),
    ],
)
def test_errors_have_one_shape(
    gateway: str, method: str, path: str, status: int, code: str
) -> None:
    response = httpx.request(method, gateway + path)
    assert response.status_code == status
    error = response.json()["error"]
    assert set(error) == {"type", "code", "message", "param"}
    assert (error["type"], error["code"]) == ("invalid_request_error", code)


def test_a_taken_port_says_which_setting_to_change(gateway: str, broker_url: str) -> None:
    port = int(gateway.rpartition(":")[2])
    with pytest.raises(GatewayError, match=rf"port {port}.*--port"):
        run(GatewaySettings(broker_url=broker_url, port=port))


def test_no_broker_says_which_setting_to_change() -> None:
    with pytest.raises(BrokerError, match="--broker-url"):
        run(GatewaySettings(broker_url="unix:///nowhere/broker.sock"))


def test_half_of_https_says_what_is_missing(broker_url: str, tmp_path: Path) -> None:
    with pytest.raises(GatewayError, match="LOOKBACK_SSL_KEYFILE"):
        run(GatewaySettings(broker_url=broker_url, ssl_certfile=tmp_path / "cert.pem"))


def test_the_gateway_never_loads_torch() -> None:
    code = "import sys, server.app; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def _process(*command: str, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    started = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=os.environ | environment)
    try:
        yield started
    finally:
        started.kill()
        started.wait()


def _ready(url: str) -> str:
    """`ready`, `absent`, or the code of the error."""
    try:
        reply = httpx.get(f"{url}/ready").json()
    except httpx.TransportError:
        return "absent"
    return "ready" if "worker" in reply else reply["error"]["code"]


async def test_a_stopped_process_leaves_its_sessions_to_the_next(
    broker_url: str, worker: Any, tools: Any
) -> None:
    port = _free_port()
    code = "from server.app import run; from server.settings import GatewaySettings as S; run(S())"
    settings = {"LOOKBACK_BROKER_URL": broker_url, "LOOKBACK_PORT": str(port)}
    url = f"http://127.0.0.1:{port}"
    with _process(sys.executable, "-c", code, **settings) as process:
        await tools.eventually(lambda: _ready(url) == "ready", 60)
        session = tools.new_session(url)
        async with tools.talking(url, session) as client, tools.sending(url, session):
            await client.until("lookback.memory.updated")
            process.send_signal(signal.SIGTERM)
            await asyncio.to_thread(process.wait, 20)
        with connect(broker_url) as broker:
            assert not broker.exists(keys.gateway(session))
            assert broker.pttl(keys.alive(session)) > 1000 * keys.ALIVE_TTL_SECONDS
        assert not worker.of(CloseSession, session)


async def test_a_broker_that_comes_back_is_used_again(tmp_path: Path, tools: Any) -> None:
    with EmbeddedBroker(tmp_path / "b") as broker, tools.serving(broker_url=broker.url) as url:
        with tools.PeerWorker(broker.url):
            await tools.eventually(lambda: _ready(url) == "ready")
            tools.new_session(url)
        os.kill(broker.pid, signal.SIGKILL)
        await tools.eventually(lambda: _ready(url) == "broker_unavailable")
        async with httpx.AsyncClient(base_url=url) as http:
            assert (await http.get("/health")).status_code == 200
            refused = await http.post("/v1/sessions")
            assert refused.status_code == 503 and "retry-after" in refused.headers
        with EmbeddedBroker(tmp_path / "b") as again, tools.PeerWorker(again.url):
            await tools.eventually(lambda: _ready(url) == "ready")
            session = tools.new_session(url)
            async with tools.talking(url, session) as client, tools.sending(url, session):
                await client.until("lookback.memory.updated")
                await client.ask("are you back?")
                done = await client.until("response.done")
            assert done["response"]["status"] == "completed"


async def test_answers_in_flight_when_the_broker_dies_end_once(tmp_path: Path, tools: Any) -> None:
    folder = tmp_path / "b"
    with (
        EmbeddedBroker(folder) as broker,
        tools.serving(broker_url=broker.url, takeover_seconds=2) as url,
        tools.PeerWorker(broker.url) as worker,
    ):
        await tools.eventually(lambda: _ready(url) == "ready")
        session = tools.new_session(url)
        async with tools.talking(url, session) as client, tools.sending(url, session):
            await client.until("lookback.memory.updated")
            await client.ask("slowly now")
            await client.ask("waiting")
            await client.until("response.output_text.delta")
            worker.stop()
            os.kill(broker.pid, signal.SIGKILL)
            await client.ask("into the void")
            failed = (await client.until("response.done"))["response"]
            assert failed["lookback"]["question"] == "into the void"
            assert "broker does not answer" in failed["status_details"]["message"]
            await client.send({"type": "lookback.memory.describe"})
            assert (await client.error())["code"] == "broker_unavailable"
            with EmbeddedBroker(folder):
                closed = await client.until("lookback.session.closed")
        assert closed["reason"] == "worker_lost"
    ended = [e["response"] for e in client.events if e["type"] == "response.done"]
    assert [e["lookback"]["question"] for e in ended] == ["into the void", "slowly now", "waiting"]
    assert {e["status"] for e in ended} == {"failed"}


async def test_a_redis_of_somebody_elses_serves_as_well(tmp_path: Path, tools: Any) -> None:
    binary = shutil.which("redis-server")
    if binary is None:
        missing = "no redis-server is installed (Debian: apt-get install redis-server)"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(missing)
    port = str(_free_port())
    address = f"redis://127.0.0.1:{port}/3"
    where = ("--port", port, "--bind", "127.0.0.1", "--dir", str(tmp_path))
    with (
        _process(binary, *where, "--save", ""),
        tools.PeerWorker(address),
        tools.serving(broker_url=address) as url,
    ):
        session = tools.new_session(url)
        async with tools.talking(url, session) as client, tools.sending(url, session):
            await client.until("lookback.memory.updated")
            await client.ask("which broker?")
            done = await client.until("response.done")
    assert done["response"]["status"] == "completed"
