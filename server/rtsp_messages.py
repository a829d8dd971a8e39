"""What comes over an RTSP connection: replies, requests, and packets between them (RFC 2326,
sections 4 to 7 and 10.12).

Knows nothing about what is asked for.
"""

import asyncio
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

LINE_BYTES: Final = 8192
_MOST_HEADERS: Final = 64
_MOST_BODY_BYTES: Final = 65536
_MOST_STRAY_BYTES: Final = 65536
_OTHERS: Final = ("HTTP/", "SSH-")
_PACKET: Final = b"$"
_STATUS_LINE: Final = re.compile(r"RTSP/\d\.\d +(\d{3})\b")
_REQUEST_LINE: Final = re.compile(r"([A-Z_]{3,20}) +\S+ +RTSP/\d\.\d")


class MalformedReply(Exception):
    """What came is no RTSP; the message says why."""


@dataclass(frozen=True)
class Packet:
    """RTP or RTCP, on one of the channels that SETUP agreed on."""

    channel: int
    data: bytes


@dataclass(frozen=True)
class Headers:
    """Names in lower case. One that comes several times keeps all its values."""

    fields: tuple[tuple[str, str], ...]

    def all(self, name: str) -> list[str]:
        return [value for field, value in self.fields if field == name]

    def get(self, name: str) -> str:
        """The first one's value, or ""."""
        return next(iter(self.all(name)), "")


@dataclass(frozen=True)
class Reply:
    """sequence: CSeq, or None where it has none that can be read."""

    status: int
    sequence: int | None
    headers: Headers
    body: bytes


@dataclass(frozen=True)
class Request:
    """Something that the camera asks of us."""

    method: str
    sequence: str
    headers: Headers


async def read(stream: asyncio.StreamReader) -> Packet | Reply | Request:
    """The next one. Stray bytes, which some cameras put between packets, are passed over.

    Raises MalformedReply, and EOFError (asyncio.IncompleteReadError) or OSError where the
    connection ends.
    """
    stray = 0
    while stray < _MOST_STRAY_BYTES:
        first = await stream.readexactly(1)
        if first == _PACKET:
            head = await stream.readexactly(3)
            return Packet(head[0], await stream.readexactly(int.from_bytes(head[1:], "big")))
        if first.isalpha() and first.isupper():
            start = (first + await _line(stream)).decode("utf-8", "replace").strip()
            status, request = _STATUS_LINE.match(start), _REQUEST_LINE.fullmatch(start)
            if status or request:
                break
            if start.startswith(_OTHERS):
                raise MalformedReply(f"it does not speak RTSP, but {start[:4].strip('/-')}")
            stray += len(start)
        stray += 1
    else:
        raise MalformedReply("it does not speak RTSP")
    headers = await _headers(stream)
    body = await _body(stream, headers)
    sequence = headers.get("cseq")
    if status:
        number = int(sequence) if re.fullmatch(r"[0-9]{1,9}", sequence) else None
        return Reply(int(status[1]), number, headers, body)
    assert request is not None
    return Request(request[1], sequence, headers)


def written(start: str, headers: Iterable[tuple[str, str]]) -> bytes:
    """A request or a reply without a body. Raises MalformedReply for what would not stay in its
    line: headers repeat what the camera has said."""
    lines = [start, *(f"{name}: {value}" for name, value in headers)]
    if any(re.search(r"[\x00-\x1f\x7f]", line) for line in lines):
        raise MalformedReply("it names what has control characters")
    return "\r\n".join([*lines, "", ""]).encode()


async def _line(stream: asyncio.StreamReader) -> bytes:
    try:
        line = await stream.readuntil(b"\n")
    except asyncio.LimitOverrunError:
        raise MalformedReply("a line of its reply has no end") from None
    if len(line) > LINE_BYTES:
        raise MalformedReply("a line of its reply has no end")
    return line


async def _headers(stream: asyncio.StreamReader) -> Headers:
    fields: list[tuple[str, str]] = []
    while line := (await _line(stream)).decode("utf-8", "replace").rstrip("\r\n"):
        if len(fields) == _MOST_HEADERS:
            raise MalformedReply("its reply has too many headers")
        name, _, value = line.partition(":")
        fields.append((name.strip().lower(), value.strip()))
    return Headers(tuple(fields))


async def _body(stream: asyncio.StreamReader, headers: Headers) -> bytes:
    length = headers.get("content-length") or "0"
    if not re.fullmatch(r"[0-9]{1,9}", length) or int(length) > _MOST_BODY_BYTES:
        raise MalformedReply("its reply is too long")
    return await stream.readexactly(int(length))
