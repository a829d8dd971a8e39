"""One way to connect, whichever server stands behind the URL, and errors that say what to do."""

import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from shutil import which

import pytest

from broker.connection import BrokerError, connect, connect_async, shown
from broker.embedded import EmbeddedBroker


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@pytest.fixture(params=["embedded", "redis-server"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "embedded":
        with EmbeddedBroker() as broker:
            yield broker.url
        return
    binary = which("redis-server")
    if binary is None:
        missing = "no redis-server is installed (Debian: apt-get install redis-server)"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(missing)
    port = _free_port()
    arguments = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(tmp_path)]
    server = subprocess.Popen([binary, *arguments], stdout=subprocess.DEVNULL)
    try:
        yield f"redis://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait()


async def test_what_one_writes_the_other_reads(url: str) -> None:
    writer, reader = connect(url), await connect_async(url)
    for number in range(10):
        writer.xadd("s", {b"m": bytes([number, 255])}, maxlen=4, approximate=False)
    [(_, entries)] = await reader.xread({"s": "0"})
    assert [fields[b"m"] for _, fields in entries] == [bytes([n, 255]) for n in range(6, 10)]
    writer.close()
    await reader.aclose()


def test_nobody_there_says_what_to_change() -> None:
    with pytest.raises(BrokerError, match=r"--broker-url.*LOOKBACK_BROKER_URL"):
        connect(f"redis://127.0.0.1:{_free_port()}", wait_seconds=0.2)


async def test_nobody_there_says_what_to_change_async() -> None:
    with pytest.raises(BrokerError, match=r"--broker-url.*LOOKBACK_BROKER_URL"):
        await connect_async(f"redis://127.0.0.1:{_free_port()}", wait_seconds=0.2)


@pytest.mark.parametrize("address", ["localhost:6379", "http://localhost", "", "redis://host:nan"])
def test_an_address_that_is_none(address: str) -> None:
    with pytest.raises(BrokerError, match="address"):
        connect(address)


def test_a_password_is_never_shown() -> None:
    address = "redis://user:secret@10.0.0.1:6379/0"
    assert shown(address) == "redis://***@10.0.0.1:6379/0"
    assert shown("unix:///tmp/s") == "unix:///tmp/s"
