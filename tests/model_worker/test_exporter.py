"""Snapshots go to whoever asked, a few pieces at a time; what goes wrong is told there."""

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from broker.connection import connect
from broker.embedded import EmbeddedBroker
from messages import keys
from messages.codec import decode_piece
from messages.files import PIECE_BYTES, PIECES_AHEAD, Piece
from model_worker.exporter import MOST_AT_ONCE, Exporter, pieces
from model_worker.memory.container import SnapshotError


@pytest.fixture
def client() -> Iterator[Any]:
    with EmbeddedBroker() as broker, connect(broker.url) as made:
        yield made
        # Who has the last piece is ahead of the thread that sent it.
        for thread in threading.enumerate():
            if thread.name == "export":
                thread.join(20)


def taken(client: Any, channel: str) -> Piece:
    found = client.blpop([keys.file(channel)], timeout=20)
    assert found is not None
    return decode_piece(found[1])


def whole(client: Any, channel: str) -> bytes:
    data = b""
    while True:
        piece = taken(client, channel)
        assert not piece.problem
        data += piece.data
        if piece.last:
            return data


def test_bytes_come_in_pieces_of_one_size() -> None:
    parts = [b"ab", b"", b"cdefghi", b"j"]
    assert list(pieces(parts, 3)) == [b"abc", b"def", b"ghi", b"j"]
    assert list(pieces([b"abc"], 3)) == [b"abc"]
    assert list(pieces([], 3)) == []


def test_a_file_of_any_size_takes_little_of_the_broker(client: Any) -> None:
    part = bytes(range(256)) * 4096
    parts = [part[:-1]] * 20
    Exporter(client).give("c", lambda: parts)
    deadline = time.monotonic() + 20
    while client.llen(keys.file("c")) < PIECES_AHEAD:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    time.sleep(0.1)
    assert client.llen(keys.file("c")) == PIECES_AHEAD
    assert client.ttl(keys.file("c")) > 0
    assert len(taken(client, "c").data) == PIECE_BYTES
    assert len(whole(client, "c")) == 20 * len(part[:-1]) - PIECE_BYTES


def test_what_cannot_be_made_is_told(client: Any) -> None:
    exporter = Exporter(client)

    def broken() -> Any:
        raise SnapshotError("the policy is unknown")

    def breaking() -> Iterator[bytes]:
        yield b"a"
        raise MemoryError("no room")

    exporter.give("a", broken)
    assert taken(client, "a") == Piece(problem="the policy is unknown", last=True)
    exporter.give("b", breaking)
    assert taken(client, "b") == Piece(problem="no room", last=True)


def test_one_that_nobody_takes_is_given_up_and_makes_room(client: Any) -> None:
    exporter = Exporter(client, stalled_seconds=1.0)
    going = threading.Event()

    def endless() -> Iterator[bytes]:
        while not going.wait(0):
            yield bytes(PIECE_BYTES)

    for number in range(MOST_AT_ONCE):
        exporter.give(f"slow-{number}", endless)
    exporter.give("late", list)
    assert "already" in taken(client, "late").problem
    deadline = time.monotonic() + 20
    while client.keys(keys.file("slow-*")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    exporter.give("next", lambda: [b"abc"])
    assert whole(client, "next") == b"abc"
    going.set()
