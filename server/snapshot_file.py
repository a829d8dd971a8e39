"""What a gateway has to know of a snapshot: the beginning of its header (docs/snapshots.md).

The rest is looked at by the worker, checksums and all.
"""

import struct
from typing import IO, Annotated, Final

import msgspec
from msgspec import Meta, Struct

from server.errors import ClientError

MAGIC: Final = b"\x89LBMEM\r\n"
VERSION: Final = 1
MOST_HEADER: Final = 1 << 20
_START: Final = struct.Struct("<8sII")


class _Model(Struct):
    name: str


class _Shape(Struct):
    budget: Annotated[int, Meta(ge=1, le=100_000_000)]


class _Watching(Struct):
    frames: Annotated[int, Meta(ge=0, le=1 << 53)]
    newest: Annotated[float, Meta(ge=-1e12, le=1e12)] | None


class _Conversation(Struct):
    instructions: str


class Header(Struct):
    """Part of `Header` in docs/snapshots.md."""

    model: _Model
    shape: _Shape
    watching: _Watching
    conversation: _Conversation


def read_header(file: IO[bytes]) -> Header:
    """The header of a snapshot, read from its beginning. Raises ClientError (422)."""
    file.seek(0)
    start = file.read(_START.size)
    if not start:
        raise invalid_snapshot("the snapshot is empty")
    if start[: len(MAGIC)] != MAGIC:
        raise invalid_snapshot("this is no snapshot of a session's memory")
    if len(start) < _START.size:
        raise invalid_snapshot("the snapshot is cut short in the beginning")
    _, version, length = _START.unpack(start)
    if version > VERSION:
        raise invalid_snapshot(
            f"the snapshot is of format version {version} and this Lookback reads up to {VERSION}: "
            "read it with a newer Lookback"
        )
    if version < 1 or length > MOST_HEADER:
        raise invalid_snapshot("the snapshot is damaged in the header")
    header = file.read(length)
    if len(header) < length:
        raise invalid_snapshot("the snapshot is cut short in the header")
    try:
        return msgspec.json.decode(header, type=Header)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise invalid_snapshot(f"the snapshot's header cannot be read: {error}") from error


def invalid_snapshot(why: str) -> ClientError:
    """It is no snapshot that can be used here."""
    return ClientError("invalid_snapshot", f"{why[:1].upper()}{why[1:]}.", status=422)
