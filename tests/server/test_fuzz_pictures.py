"""Pictures, broken and hostile in every way, to the frames websocket and with questions."""

import base64
import io
import json
import math
import struct
import time
import zlib
from typing import Any

import httpx
import msgspec
import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from websockets.sync.client import connect

from server.server_events import FramesEvent
from tests.server.clients import new_session
from tests.server.fuzzing import campaign, resident, unharmed
from tests.server.mutations import damaged

_NOISE = np.random.default_rng(0).integers(0, 256, (40, 56, 3), np.uint8)


def _file(kind: str, mode: str = "RGB", **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(_NOISE).convert(mode).save(buffer, kind, **options)
    return buffer.getvalue()


def _chunk(kind: bytes, data: bytes) -> bytes:
    check = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)


def _png(width: int, height: int, depth: int = 8, colour: int = 2, *extra: bytes) -> bytes:
    """Of a header that may promise anything, and a megabyte of zeros behind it."""
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    chunks = [_chunk(b"IHDR", head), *extra, _chunk(b"IDAT", zlib.compress(bytes(2**20)))]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks) + _chunk(b"IEND", b"")


def _scans(count: int) -> bytes:
    """A progressive JPEG in which one scan of 35 bytes follows another, through 16 megapixels."""
    buffer = io.BytesIO()
    Image.new("L", (4096, 4096), 90).save(buffer, "JPEG", progressive=True)
    whole = buffer.getvalue()
    last = whole.rindex(b"\xff\xda")
    return whole[:last] + whole[last:-2] * count + whole[-2:]


_ANIMATED = {"save_all": True, "append_images": [Image.fromarray(255 - _NOISE)] * 3}
_EXIF = (
    b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\xff\xff\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06\x00\x00"
)
_VALID = [
    _file("JPEG"), _file("JPEG", progressive=True), _file("JPEG", "CMYK"), _file("JPEG", "L"),
    _file("JPEG", exif=_EXIF), _file("JPEG", icc_profile=b"\xff" * 200), _file("PNG"),
    _file("PNG", "RGBA"), _file("PNG", "P"), _file("PNG", "1"), _file("PNG", "I;16"),
    _file("PNG", "LA"), _file("PNG", icc_profile=b"x" * 99), _file("PNG", **_ANIMATED),
    _file("WEBP"), _file("WEBP", lossless=True), _file("WEBP", "RGBA"), _file("WEBP", **_ANIMATED),
    _file("WEBP", exif=_EXIF, icc_profile=b"y" * 99), _file("GIF", "P"), _file("TIFF"),
]  # fmt: skip
_PROFILE = _chunk(b"iCCP", b"p\0\0" + zlib.compress(bytes(2**26)))
_WORDS = _chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(2**26)))
_HOSTILE = {
    "no width": _png(0, 64),
    "no height": _png(64, 0),
    "gigapixels": _png(2**31 - 1, 2**31 - 1),
    "hundred megapixels": _png(10_000, 10_000),
    "two hundred megapixels": _png(20_000, 10_000),
    "too little data": _png(4096, 4096),
    "sixteen bits and alpha": _png(4096, 4096, 16, 6),
    "a palette that is not there": _png(64, 64, 8, 3),
    "an odd depth": _png(64, 64, 7, 2),
    "a profile that grows": _png(64, 64, 8, 2, _PROFILE),
    "words that grow": _png(64, 64, 8, 2, _WORDS, _WORDS),
    "a thousand chunks": _png(64, 64, 8, 2, *[_chunk(b"tEXt", b"k\0v")] * 1000),
    "scans without end": _scans(9999),
    "a canvas unlike its picture": _file("WEBP", **_ANIMATED).replace(
        struct.pack("<I", 55)[:3] + struct.pack("<I", 39)[:3], b"\xff\x0f\x00\xff\x0f\x00", 1
    ),
    "a jpeg of no lines": _file("JPEG").replace(b"\x08\x00\x28\x00\x38", b"\x08\x00\x00\x00\x38"),
    "a jpeg of many": _file("JPEG").replace(b"\x08\x00\x28\x00\x38", b"\x08\x10\x00\x10\x00"),
    "gif": _file("GIF", "P"),
}
_TIMES = st.sampled_from((math.nan, -math.inf, 1e308, 5e-324)) | st.floats(0, 100)


def test_no_picture_does_any_harm(gateway: str) -> None:
    seen = set()
    with unharmed(gateway) as session:
        address = f"{gateway.replace('http', 'ws')}/v1/sessions/{session}/frames"

        @campaign(100)
        @given(st.lists(st.tuples(_TIMES, damaged(_VALID)) | st.binary(max_size=30), min_size=1))
        def send(messages: list[tuple[float, bytes] | bytes]) -> None:
            with connect(address, proxy=None, close_timeout=1) as websocket:
                for message in messages:
                    if isinstance(message, tuple):
                        message = struct.pack(">d", message[0]) + message[1]
                    websocket.send(message)
                websocket.send("the end")  # no picture: it is refused, unless that was just done
                while True:
                    event = json.loads(websocket.recv(timeout=30))
                    msgspec.convert(event, FramesEvent)
                    if event["type"] == "error":
                        seen.add(event["error"]["code"])
                        return

        send()
    assert {"invalid_frame", "invalid_time", "invalid_picture", "text_message"} <= seen


def test_hostile_pictures_are_refused_soon_and_in_little_room(gateway: str) -> None:
    with unharmed(gateway), httpx.Client(base_url=gateway, timeout=60) as client:
        for name, data in _HOSTILE.items():
            session = new_session(gateway)
            before, began = resident(), time.monotonic()
            reply = _asked(client, session, data)
            took = time.monotonic() - began
            assert reply.status_code in (200, 400, 413, 415), (name, reply.text)
            large = any(word in name for word in ("pixels", "scans"))
            assert (reply.status_code == 413) == large, (name, reply.text)
            assert took < 10, f"{name} kept the gateway's thread"
            assert resident() - before < 200, name
            client.delete(f"/v1/sessions/{session}").raise_for_status()


def _asked(client: httpx.Client, session: str, data: bytes, kind: str = "png") -> httpx.Response:
    """What a question about this picture is answered."""
    url = f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
    content = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": "what?"}]
    body = {"model": session, "messages": [{"role": "user", "content": content}]}
    return client.post("/v1/chat/completions", json=body)


def test_pictures_with_questions_do_no_harm(gateway: str) -> None:
    kinds = st.sampled_from(("jpeg", "png", "webp", "x", ""))
    with unharmed(gateway), httpx.Client(base_url=gateway, timeout=60) as client:

        @campaign(30)
        @given(damaged(_VALID), kinds)
        def ask(data: bytes, kind: str) -> None:
            session = new_session(gateway)  # several pictures at once would be too many for one
            reply = _asked(client, session, data, kind)
            assert reply.status_code in (200, 400, 413, 415), reply.text
            client.delete(f"/v1/sessions/{session}").raise_for_status()

        ask()
