"""Chunks come out as they went in, or an error says where they do not."""

import zlib
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_worker.memory.container import (
    MOST_HEADER,
    ChunkReader,
    ChunkWriter,
    SnapshotError,
    inflate,
)


def written(header: bytes, *bodies: bytes) -> bytes:
    writer = ChunkWriter()
    pieces = [*writer.start(header)]
    for index, body in enumerate(bodies):
        pieces += writer.chunk("BODY", index, [body[:3], body[3:]])
    return b"".join([*pieces, *writer.end()])


@given(st.binary(max_size=50), st.lists(st.binary(max_size=50), max_size=4))
def test_what_went_in_comes_out(header: bytes, bodies: list[bytes]) -> None:
    data = written(header, *bodies)
    reader = ChunkReader(data)
    assert reader.header == header
    for index, body in enumerate(bodies):
        assert reader.chunk("BODY", index, len(body), len(body)) == body
    reader.end()
    assert reader.size == len(data)
    skimmer = ChunkReader([data[:7], data[7:]])
    skimmer.skim()
    assert skimmer.size == len(data)


@given(st.data())
def test_skimming_finds_what_reading_finds(data: st.DataObject) -> None:
    sound = written(b"{}", b"some bytes", b"", b"others")
    damaged = bytearray(sound)
    at = data.draw(st.integers(0, len(sound) - 1))
    damaged[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(SnapshotError):
        ChunkReader(bytes(damaged)).skim()
    with pytest.raises(SnapshotError):
        ChunkReader(sound[:at]).skim()


def test_no_more_is_read_than_was_asked_for() -> None:
    """What follows stays with the source, a piece ahead at most."""
    sound = written(b"{}", b"x" * 100)
    asked = 0

    def source() -> Iterator[bytes]:
        nonlocal asked
        for byte in sound:
            asked += 1
            yield bytes([byte])

    reader = ChunkReader(source())
    assert asked == reader.size == 16 + 2 + 4
    reader.chunk("BODY", 0, 0, 100)
    assert asked == reader.size


def test_a_header_that_is_too_long_is_not_written() -> None:
    with pytest.raises(SnapshotError, match="has room for"):
        list(ChunkWriter().start(bytes(MOST_HEADER + 1)))


def test_only_what_was_expected_is_inflated() -> None:
    packed = zlib.compress(bytes(1000))
    assert inflate(packed, 1000) == bytes(1000)
    for wrong in (packed[:-1], packed + b"x", b"", b"\x00" * 20, packed[:-4] + b"abcd"):
        with pytest.raises(SnapshotError, match="what was packed"):
            inflate(wrong, 1000)
    with pytest.raises(SnapshotError, match="wrong length"):
        inflate(packed, 999)
