"""The embedded broker starts, is private and bounded, and never outlives its parent."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from broker.connection import BrokerError, connect
from broker.embedded import EmbeddedBroker


def _gone(pid: int) -> bool:
    """Whether the process has ended (a zombie has)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_ring_keeps_exactly_the_newest() -> None:
    with EmbeddedBroker() as broker:
        client = connect(broker.url)
        for number in range(50):
            client.xadd("ring", {b"m": str(number)}, maxlen=4, approximate=False)
        kept = [fields[b"m"] for _, fields in client.xrange("ring")]
        client.close()
    assert kept == [b"46", b"47", b"48", b"49"]


def test_it_is_private_bounded_and_writes_nothing(tmp_path: Path) -> None:
    with EmbeddedBroker(tmp_path / "b") as broker:
        client = connect(broker.url)
        assert client.config_get("maxmemory")["maxmemory"] == str(256 * 2**20)
        assert client.config_get("save")["save"] == ""
        assert client.config_get("port")["port"] == "0"
        client.close()
        socket = tmp_path / "b" / "broker.sock"
        assert socket.stat().st_mode & 0o077 == 0
        assert (tmp_path / "b").stat().st_mode & 0o077 == 0
    assert not socket.exists()
    assert not list((tmp_path / "b").glob("*.rdb"))


def test_two_live_side_by_side() -> None:
    with EmbeddedBroker() as one, EmbeddedBroker() as other:
        assert one.url != other.url
        client = connect(one.url)
        client.set("k", "one")
        client.close()
        client = connect(other.url)
        assert client.get("k") is None
        client.close()


def test_leaving_stops_it_and_removes_its_folder() -> None:
    with EmbeddedBroker() as broker:
        pid, folder = broker.pid, Path(broker.url.removeprefix("unix://")).parent
        assert folder.is_dir()
    assert _gone(pid)
    assert not folder.exists()
    with pytest.raises(BrokerError, match="not running"):
        _ = broker.url


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's end")
@pytest.mark.parametrize("killed_by", [signal.SIGKILL, signal.SIGTERM])
def test_it_dies_with_its_parent(killed_by: signal.Signals) -> None:
    code = (
        "import time; from broker.embedded import EmbeddedBroker\n"
        "with EmbeddedBroker() as b: print(b.pid, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    assert not _gone(pid)
    os.kill(parent.pid, killed_by)
    parent.wait(timeout=20)
    parent.stdout.close()
    deadline = time.monotonic() + 20
    while not _gone(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert _gone(pid)


def test_too_long_a_folder_says_so(tmp_path: Path) -> None:
    with (
        pytest.raises(BrokerError, match="choose a shorter one"),
        EmbeddedBroker(tmp_path / ("x" * 100)),
    ):
        pass
