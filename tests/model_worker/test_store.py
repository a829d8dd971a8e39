"""Snapshots are found by the next owner, whole, and a stale owner's never."""

import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from broker.connection import connect
from broker.embedded import EmbeddedBroker
from messages import keys
from model_worker.leases import Lease, Leases
from model_worker.store import TTL_SECONDS, BrokerStore, FolderStore, StoreError


def lease(fence: int, session: str = "../../s") -> Lease:
    return Lease(session, "one", fence, 0, 0.0)


def test_the_latest_owners_file_is_read(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "new" / "folder")
    assert store.read("../../s") is None
    store.write(lease(9), [b"a", b"b"])
    store.write(lease(10), [b"c"])
    assert store.read("../../s") == b"c"
    store.write(lease(9), [b"stale"])  # it was stopped, and goes on
    assert store.read("../../s") == b"c"
    store.write(lease(1, "other"), [b"d"])
    store.remove("../../s")
    assert store.read("../../s") is None
    assert store.read("other") == b"d"
    assert [path.parent for path in tmp_path.rglob("*.snapshot")] == [tmp_path / "new" / "folder"]


def test_files_are_for_their_user_and_do_not_name_the_session(tmp_path: Path) -> None:
    FolderStore(tmp_path).write(lease(1, "secret-id"), [b"a"])
    [path] = tmp_path.iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "secret" not in path.name


def test_what_breaks_off_leaves_the_former_one(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    store.write(lease(1), [b"whole"])

    def pieces() -> Iterator[bytes]:
        yield b"half"
        raise OSError(28, "No space left on device")

    with pytest.raises(StoreError, match="No space left"):
        store.write(lease(1), pieces())
    assert store.read("../../s") == b"whole"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_folder_that_takes_nothing_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot hold snapshots"):
        FolderStore(tmp_path / "file")


def test_old_files_are_cleared_and_others_left_alone(tmp_path: Path) -> None:
    old = time.time() - TTL_SECONDS - 60
    for name in ("a.1.snapshot", "a.1.partial", "notes.of.mine"):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (old, old))
    (tmp_path / "b.1.snapshot").touch()
    FolderStore(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"b.1.snapshot", "notes.of.mine"}


@pytest.fixture
def client() -> Iterator["Redis"]:
    with EmbeddedBroker() as broker, connect(broker.url) as made:
        yield made


def test_on_the_broker_a_stale_owner_writes_nothing(client: "Redis") -> None:
    leases = Leases(client, "one")
    client.set(keys.alive("s"), 1)
    client.zadd(keys.QUEUE, {"s": 0})
    held = leases.claim("s", 1, 0.0, give_way=False)
    assert isinstance(held, Lease)
    store = BrokerStore(client, leases)
    store.write(held, [b"a", b"b"])
    assert store.read("s") == b"ab"
    assert 0 < client.ttl(keys.snapshot("s")) <= TTL_SECONDS
    client.set(keys.owner("s"), "two 2")
    store.write(held, [b"stale"])
    assert store.read("s") == b"ab"


def test_a_full_broker_is_said(client: "Redis") -> None:
    leases = Leases(client, "one")
    client.set(keys.owner("s"), "one 1")
    client.config_set("maxmemory", 1)
    with pytest.raises(StoreError, match="MB"):
        BrokerStore(client, leases).write(lease(1, "s"), [bytes(1000)])
