"""Two real gateways behind a real HAProxy with our file: a session's requests find its gateway."""

import asyncio
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import openai
import pytest

from broker.embedded import dies_with
from lookback_client import Lookback
from server.settings import GatewaySettings
from tests.clients.conftest import picture
from tests.lookback.conftest import ROOT, eventually
from tests.server.conftest import broker_url, serving, worker
from tests.server.peer import PeerWorker

__all__ = ["broker_url", "worker"]

FILE = ROOT / "deploy" / "kubernetes" / "haproxy.cfg"


@pytest.fixture
def gateways(broker_url: str, worker: PeerWorker) -> Iterator[tuple[list[str], ExitStack]]:
    """The first can be stopped by closing the stack."""
    with ExitStack() as stack, serving(GatewaySettings(broker_url=broker_url)) as second:
        first = stack.enter_context(serving(GatewaySettings(broker_url=broker_url)))
        yield [first, second], stack


@pytest.fixture
def balancer(gateways: tuple[list[str], ExitStack], tmp_path: Path) -> Iterator[str]:
    """As it ships, but for the ports and that the gateways are named one by one."""
    if not shutil.which("haproxy"):
        missing = "haproxy is not installed"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(missing)
    port, peers = _free_port(), _free_port()
    text = FILE.read_text().replace("bind :8400", f"bind 127.0.0.1:{port}")
    text = text.replace("bind :10000", f"bind 127.0.0.1:{peers}")
    servers = "\n".join(
        f"    server g{number} {url.removeprefix('http://')}"
        for number, url in enumerate(gateways[0])
    )
    text, count = re.subn(r"^    server-template .*$", servers, text, flags=re.MULTILINE)
    assert count == 1
    (tmp_path / "haproxy.cfg").write_text(text)
    with (tmp_path / "said").open("wb") as said:
        process = subprocess.Popen(
            ["haproxy", "-db", "-f", str(tmp_path / "haproxy.cfg")],
            stderr=said,
            preexec_fn=dies_with(os.getpid()),
        )
    url = f"http://127.0.0.1:{port}"
    try:
        eventually(lambda: _answers(url) or process.poll(), "balancer", 20)
        assert process.poll() is None, (tmp_path / "said").read_text()
        yield url
    finally:
        process.terminate()
        process.wait(10)


async def test_every_way_to_a_session_leads_to_its_gateway(
    balancer: str, gateways: tuple[list[str], ExitStack]
) -> None:
    async with httpx.AsyncClient() as http, Lookback(balancer) as lookback:
        made = [lookback.session() for _ in range(4)]
        async with made[0], made[1], made[2], made[3]:
            ids = [session.id for session in made]
            for session in made:  # websockets for frames and for questions, and plain requests
                camera = await session.publish(iter([picture(1)]), per_second=50)
                await camera.wait()
                assert (await session.ask("Anything?")).text
                url = f"{balancer}/v1/sessions/{session.id}"
                assert [(await http.get(url)).status_code for _ in range(4)] == [200] * 4
            client = openai.AsyncOpenAI(base_url=f"{balancer}/v1", api_key="none", max_retries=0)
            for one in ids:
                for headers in ({}, {"Lookback-Session": one}):
                    reply = await client.chat.completions.create(
                        model=one,
                        messages=[{"role": "user", "content": "Anything?"}],
                        extra_headers=headers,
                    )
                    assert reply.choices[0].message.content
                secret = {"session": {"type": "realtime", "model": one}}
                reply = await http.post(f"{balancer}/v1/realtime/client_secrets", json=secret)
                assert reply.status_code == 200, reply.text
                refused = await http.post(f"{balancer}/whip/{one}", content=b"v=0")
                assert refused.status_code != 503, refused.text
            for _ in range(50):  # the one that made a session sees within a second who has it
                states = [
                    {
                        (await http.get(f"{url}/v1/sessions/{one}")).status_code
                        for url in gateways[0]
                    }
                    for one in ids
                ]
                if states == [{200, 503}] * len(ids):
                    break
                await asyncio.sleep(0.1)
            assert states == [{200, 503}] * len(ids)


async def test_a_lost_gateways_session_goes_on_at_the_other(
    balancer: str, gateways: tuple[list[str], ExitStack]
) -> None:
    _, first = gateways
    async with Lookback(balancer) as lookback:
        held = [lookback.session() for _ in range(2)]
        async with held[0], held[1]:
            for session in held:
                camera = await session.publish(iter([picture(1)]), per_second=50)
                await camera.wait()
            first.close()
            for session in held:
                assert (await session.ask("Still there?")).text


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", timeout=1).status_code == 200
    except httpx.TransportError:
        return False


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])
