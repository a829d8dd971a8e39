"""What a gateway reads of a snapshot, and what it refuses before a worker is asked."""

import io
import json
import struct

import pytest

from model_worker.memory import container
from server import snapshot_file
from server.errors import ClientError
from server.snapshot_file import MAGIC, read_header
from tests.server.peer import snapshot


def test_the_format_is_the_workers() -> None:
    ours = (snapshot_file.MAGIC, snapshot_file.VERSION, snapshot_file.MOST_HEADER)
    assert ours == (container.MAGIC, container.VERSION, container.MOST_HEADER)


def test_what_a_session_begins_with_is_read() -> None:
    header = read_header(io.BytesIO(snapshot(5, 4.5, size=100)))
    assert (header.model.name, header.shape.budget) == ("peer", 144)
    assert (header.watching.frames, header.watching.newest) == (5, 4.5)
    assert header.conversation.instructions == "Be short."


def with_header(**changed: object) -> bytes:
    start = struct.calcsize("<8sII")
    header = json.loads(snapshot()[start:]) | changed
    data = json.dumps(header).encode()
    return struct.pack("<8sII", MAGIC, 1, len(data)) + data


@pytest.mark.parametrize(
    ("file", "words"),
    [
        (b"", "is empty"),
        (b"PK", "no snapshot"),
        (bytes(100), "no snapshot"),
        (MAGIC, "cut short"),
        (struct.pack("<8sII", MAGIC, 9, 10), "version 9 .* newer Lookback"),
        (struct.pack("<8sII", MAGIC, 0, 10), "damaged"),
        (struct.pack("<8sII", MAGIC, 1, 1 << 30), "damaged"),
        (snapshot()[:40], "cut short in the header"),
        (struct.pack("<8sII", MAGIC, 1, 4) + b"\xff\xff\xff\xff", "cannot be read"),
        (with_header(shape={"budget": 0}), "cannot be read"),
        (with_header(shape={"budget": 1 << 60}), "cannot be read"),
        (with_header(watching={"frames": -1, "newest": 0}), "cannot be read"),
        (with_header(watching={"frames": 1, "newest": 1e300}), "cannot be read"),
        (with_header(conversation={}), "cannot be read"),
    ],
)
def test_what_is_none_is_refused_in_words(file: bytes, words: str) -> None:
    with pytest.raises(ClientError, match=words) as refused:
        read_header(io.BytesIO(file))
    assert (refused.value.status, refused.value.code) == (422, "invalid_snapshot")
