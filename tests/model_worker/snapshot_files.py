"""Snapshots to be read, taken apart and forged."""

import json
import struct
import zlib
from typing import Any

import numpy as np

from model_worker.decoding import Sampling
from model_worker.engine import Engine
from model_worker.memory.container import ChunkWriter
from model_worker.snapshot_header import OPTIONS
from tests.model_worker.watching import small, watched

Chunks = list[tuple[str, int, bytes]]
NOISE = list(np.random.default_rng(0).integers(0, 256, (17, 32, 32, 3), dtype=np.uint8))


class Files(dict[str, bytes]):
    """Snapshots by option; a failed test shows no bytes."""

    def __repr__(self) -> str:
        return f"<{', '.join(self)}>"


def snapshots(engine: Engine) -> Files:
    """Of a session that has answered once and, of a family of pairs, holds half a pair."""
    session = watched(engine, NOISE, small(engine, 1))
    list(session.ask("what is it?", Sampling(max_tokens=4)))
    made = {option: b"".join(engine.snapshot(session, option)) for option in OPTIONS}
    session.close()
    return Files(made)


def taken_apart(data: bytes) -> tuple[dict[str, Any], Chunks]:
    """The header and the chunks, by docs/snapshots.md alone."""
    assert data[:8] == b"\x89LBMEM\r\n"
    version, length = struct.unpack_from("<II", data, 8)
    assert version == 1
    header, at = json.loads(data[16 : 16 + length]), 16 + length
    check = zlib.crc32(data[:at])
    chunks = []
    while at < len(data):
        assert struct.unpack_from("<I", data, at) == (check,)
        tag, index, length = struct.unpack_from("<4sIQ", data, at + 4)
        body = data[at + 20 : at + 20 + length]
        check = zlib.crc32(data[at + 4 : at + 20 + length], check)
        at += 20 + length
        chunks.append((tag.decode(), index, body))
        if tag == b"END ":
            assert struct.unpack_from("<I", data, at) == (check,)
            at += 4
    return header, chunks[:-1]


def put_together(header: dict[str, Any], chunks: Chunks) -> bytes:
    """A file whose checksums are right, whatever it says."""
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False)
    writer = ChunkWriter()
    pieces = [*writer.start(text.encode())]
    for tag, index, body in chunks:
        pieces += writer.chunk(tag, index, [body])
    return b"".join([*pieces, *writer.end()])
