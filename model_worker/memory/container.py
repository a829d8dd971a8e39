"""The container of a snapshot: a header in JSON and chunks of bytes, each with a checksum.

It knows the bytes and not what they mean; docs/snapshots.md has the layout. Numbers are
little-endian. A checksum is the CRC-32 of all that stands before it but for other checksums, so
that a chunk that is damaged, missing, out of its place or of another file is found where it stands.
"""

import struct
import zlib
from collections.abc import Iterable, Iterator
from typing import Final

MAGIC: Final = b"\x89LBMEM\r\n"
"""Not text, and spoilt where line ends are converted."""
VERSION: Final = 1
MOST_HEADER: Final = 1 << 20  # bytes
END: Final = "END "

_START: Final = struct.Struct("<8sII")  # magic, version, bytes of header
_CHUNK: Final = struct.Struct("<4sIQ")  # tag, index, bytes
_CHECK: Final = struct.Struct("<I")
_PIECE: Final = 1 << 20  # bytes read at once where they are only looked at


class SnapshotError(ValueError):
    """A snapshot that cannot be written or read; the message says why."""


class ChunkWriter:
    """Makes a file's bytes, piece by piece."""

    def __init__(self) -> None:
        self._check = 0
        self._chunks = 0

    def start(self, header: bytes) -> Iterator[bytes]:
        """Magic, version and header. Raises SnapshotError for a header that is too long."""
        if len(header) > MOST_HEADER:
            raise SnapshotError(
                f"the conversation and settings take {len(header)} bytes; a snapshot has room for "
                f"{MOST_HEADER}"
            )
        yield self._passed(_START.pack(MAGIC, VERSION, len(header)))
        yield self._passed(header)
        yield self._checksum()

    def chunk(self, tag: str, index: int, parts: Iterable[bytes | memoryview]) -> Iterator[bytes]:
        """One chunk; `index` tells those of one tag apart."""
        pieces = list(parts)
        self._chunks += 1
        yield self._passed(_CHUNK.pack(tag.encode("ascii"), index, sum(map(len, pieces))))
        for piece in pieces:
            yield self._passed(piece)
        yield self._checksum()

    def end(self) -> Iterator[bytes]:
        """What says that nothing is missing."""
        yield from self.chunk(END, self._chunks, [])

    def _passed(self, data: bytes | memoryview) -> bytes:
        self._check = zlib.crc32(data, self._check)
        return bytes(data)

    def _checksum(self) -> bytes:
        return _CHECK.pack(self._check)


class ChunkReader:
    """Reads a file from pieces of any length, never more of it than it is asked for.

    `header` is the JSON. Raises SnapshotError, as every method, for what is cut short or damaged,
    no snapshot, or of a newer version.
    """

    def __init__(self, source: bytes | Iterable[bytes]) -> None:
        self._source = iter([source] if isinstance(source, bytes) else source)
        self._ahead = memoryview(b"")
        self._check = 0
        self._chunks = 0
        self._where = "the beginning"
        self.size = 0
        """Bytes read so far."""
        if not self._fill():
            raise SnapshotError("the snapshot is empty")
        start = self._take(len(MAGIC), whole=False)
        if start != MAGIC:
            raise SnapshotError("this is no snapshot of a session's memory")
        _, version, length = _START.unpack(start + self._take(_START.size - len(MAGIC)))
        if version > VERSION:
            raise SnapshotError(
                f"the snapshot is of format version {version} and this Lookback reads up to "
                f"{VERSION}: read it with a newer Lookback"
            )
        self._where = "the header"
        if version < 1 or length > MOST_HEADER:
            raise self._damaged()
        self.header = self._take(length)
        self._verify()

    def chunk(self, tag: str, index: int, least: int, most: int) -> bytearray:
        """The next chunk, which has to be this one and have `least` to `most` bytes."""
        length = self._begin(tag, index)
        if not least <= length <= most:
            raise self._damaged()
        body = self._take(length)
        self._verify()
        return body

    def end(self) -> None:
        """Nothing is missing and nothing more comes."""
        chunks = self._chunks
        if self._begin(END, chunks) != 0:
            raise self._damaged()
        self._verify()
        if self._fill():
            raise SnapshotError("the snapshot goes on after its end")

    def skim(self) -> None:
        """Read to the end for the checksums alone."""
        while True:
            tag, index, length = _CHUNK.unpack(self._take(_CHUNK.size))
            self._where = f"chunk {_named(tag)} {index}"
            while length:
                length -= len(self._take(min(length, _PIECE)))
            self._verify()
            if tag == END.encode():
                if index != self._chunks:
                    raise self._damaged()
                break
            self._chunks += 1
        if self._fill():
            raise SnapshotError("the snapshot goes on after its end")

    def _begin(self, tag: str, index: int) -> int:
        self._where = f"chunk {tag.strip()} {index}"
        found, number, length = _CHUNK.unpack(self._take(_CHUNK.size))
        if (found, number) != (tag.encode("ascii"), index):
            raise self._damaged()
        self._chunks += 1
        return int(length)

    def _verify(self) -> None:
        expected = self._check
        found = _CHECK.unpack(self._take(_CHECK.size))[0]
        self._check = expected
        if found != expected:
            raise self._damaged()

    def _damaged(self) -> SnapshotError:
        return SnapshotError(f"the snapshot is damaged in {self._where}")

    def _take(self, count: int, *, whole: bool = True) -> bytearray:
        """The next `count` bytes, or all that are left where they need not be `whole`."""
        taken = bytearray()
        while len(taken) < count:
            if not self._fill():
                if whole:
                    raise SnapshotError(f"the snapshot is cut short in {self._where}")
                break
            piece = self._ahead[: count - len(taken)]
            taken += piece
            self._ahead = self._ahead[len(piece) :]
        self._check = zlib.crc32(taken, self._check)
        self.size += len(taken)
        return taken

    def _fill(self) -> bool:
        """Whether there is anything more to read."""
        while not self._ahead:
            piece = next(self._source, None)
            if piece is None:
                return False
            self._ahead = memoryview(piece)
        return True


def inflate(data: bytes | bytearray | memoryview, most: int) -> bytes:
    """What zlib made of at most `most` bytes. Raises SnapshotError for anything else."""
    inflater = zlib.decompressobj()
    try:
        raw = inflater.decompress(data, most + 1)
    except zlib.error as error:
        raise SnapshotError(f"what was packed cannot be unpacked ({error})") from error
    if not inflater.eof or inflater.unused_data or len(raw) > most:
        raise SnapshotError("what was packed has the wrong length")
    return raw


def _named(tag: bytes) -> str:
    return tag.decode("ascii", "backslashreplace").strip()
