"""Replies, requests and packets, of cameras good and bad."""

import asyncio
import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.rtsp_messages import MalformedReply, Packet, Reply, Request, read, written


async def everything(data: bytes, limit: int = 2**17) -> list[Packet | Reply | Request]:
    stream = asyncio.StreamReader(limit=limit)
    stream.feed_data(data)
    stream.feed_eof()
    found = []
    with contextlib.suppress(EOFError):
        while True:
            found.append(await read(stream))
    return found


async def test_packets_come_between_replies_and_requests() -> None:
    data = (
        b"$\x00\x00\x03abc"
        b"RTSP/1.0 200 OK\r\nCSeq: 7\r\nWWW-Authenticate: Basic\r\nwww-authenticate:Digest x\r\n"
        b"Content-Length: 4\r\n\r\nbody$\x01\x00\x00"
        b"\x00\r\nstray\n"
        b"OPTIONS rtsp://x RTSP/1.0\nCSeq: 9\n\n"
    )
    first, reply, empty, request = await everything(data)
    assert (first, empty) == (Packet(0, b"abc"), Packet(1, b""))
    assert isinstance(reply, Reply) and (reply.status, reply.sequence) == (200, 7)
    assert reply.headers.all("www-authenticate") == ["Basic", "Digest x"]
    assert (reply.body, reply.headers.get("session")) == (b"body", "")
    assert isinstance(request, Request) and (request.method, request.sequence) == ("OPTIONS", "9")


@pytest.mark.parametrize(
    "data",
    [
        b"x" * 70_000,
        b"RTSP/1.0 200 OK\r\n" + b"a: b\r\n" * 65 + b"\r\n",
        b"RTSP/1.0 200 OK\r\nContent-Length: 65537\r\n\r\n",
        b"RTSP/1.0 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"RTSP/1.0 200 OK\r\na: " + b"b" * 9000 + b"\r\n\r\n",
        b"RTSP/1.0 200 " + b"b" * 300_000,
    ],
)
async def test_what_has_no_end_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedReply):
        await everything(data)


async def test_a_header_cannot_bring_another() -> None:
    for bad in ("a\r\nb: c", "a\nb", "a\0"):
        with pytest.raises(MalformedReply):
            written("PLAY rtsp://x RTSP/1.0", [("Session", bad)])
        with pytest.raises(MalformedReply):
            written(f"PLAY {bad} RTSP/1.0", [])


PIECES = st.lists(
    st.sampled_from([b"$", b"RTSP/1.0 ", b"200 OK\r\n", b"CSeq: 1", b"\r\n", b"\r\n\r\n",
                     b"Content-Length: 3", b"PLAY x RTSP/1.0\r\n"]) | st.binary(max_size=9)
)  # fmt: skip


@given(PIECES)
async def test_nothing_else_is_ever_raised(pieces: list[bytes]) -> None:
    with contextlib.suppress(MalformedReply):
        await everything(b"".join(pieces))
