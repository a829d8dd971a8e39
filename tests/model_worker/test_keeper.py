"""Snapshots are put away behind the sessions' backs, the newest of each."""

import threading
import time
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from broker.connection import connect
from broker.embedded import EmbeddedBroker
from messages import keys
from model_worker.keeper import Keeper
from model_worker.leases import Lease, Leases
from model_worker.store import StoreError


class Slow:
    """A store that waits until it is let go on."""

    def __init__(self) -> None:
        self.kept: list[tuple[str, bytes]] = []
        self.removed: list[str] = []
        self.going = threading.Event()
        self.full = False

    def write(self, lease: Lease, pieces: Iterable[bytes]) -> None:
        assert self.going.wait(20)
        if self.full:
            raise StoreError("no space left")
        self.kept.append((lease.session, b"".join(pieces)))

    def read(self, session: str) -> bytes | None:
        return None

    def remove(self, session: str) -> None:
        self.removed.append(session)


@pytest.fixture
def leases() -> Iterator[Leases]:
    with EmbeddedBroker() as broker, connect(broker.url) as client:
        made = Leases(client, "one")
        for session in ("a", "b"):
            client.set(keys.alive(session), 1)
            client.zadd(keys.QUEUE, {session: 0})
            assert isinstance(made.claim(session, 1, 0.0, give_way=False), Lease)
        yield made


def kept(leases: Leases) -> tuple[Keeper, Slow, threading.Event]:
    store, stopping = Slow(), threading.Event()
    keeper = Keeper(store, leases)
    threading.Thread(target=keeper.run, args=(stopping,), daemon=True).start()
    return keeper, store, stopping


def pieces(data: bytes) -> Any:
    return [data]


def test_the_newest_of_each_session_is_written(leases: Leases) -> None:
    keeper, store, stopping = kept(leases)
    keeper.put("a", pieces(b"1"))
    time.sleep(0.2)  # it is being written
    for number in (b"2", b"3", b"4"):
        keeper.put("a", pieces(number))
        keeper.put("b", pieces(number))
    assert not keeper.flush(0.1)
    store.going.set()
    assert keeper.flush(20)
    assert sorted(store.kept) == [("a", b"1"), ("a", b"4"), ("b", b"4")]
    assert (keeper.written, keeper.failed) == (3, 0)
    stopping.set()


def test_a_session_that_ended_meanwhile_leaves_nothing(leases: Leases) -> None:
    keeper, store, stopping = kept(leases)
    keeper.put("a", pieces(b"1"))
    time.sleep(0.2)
    keeper.put("b", pieces(b"2"))
    leases.forget("a")
    leases.forget("b")
    keeper.drop("b")
    store.going.set()
    assert keeper.flush(20)
    assert store.kept == [("a", b"1")]
    assert sorted(store.removed) == ["a", "b"]
    stopping.set()


def test_a_full_disk_is_counted_and_the_next_one_tried(leases: Leases) -> None:
    keeper, store, stopping = kept(leases)
    store.full = True
    store.going.set()
    keeper.put("a", pieces(b"1"))
    assert keeper.flush(20)
    assert (keeper.written, keeper.failed) == (0, 1)
    store.full = False
    keeper.put("a", pieces(b"2"))
    assert keeper.flush(20)
    assert (keeper.written, keeper.failed) == (1, 1)
    stopping.set()
