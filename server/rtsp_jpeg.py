"""JPEG pictures out of RTP payloads (RFC 2435): a packet's header says in a few bytes what a file
says in its own, which is written anew here.

Knows nothing about the order of packets, and decodes nothing.
"""

import io
import struct

from PIL import Image

from server.rtp_payload import MOST_FRAME_BYTES, BrokenPayload

_QUANTIZATION, _HUFFMAN, _SCAN = 0xDB, 0xC4, 0xDA


def _standard() -> tuple[bytes, list[bytes]]:
    """The quantizers of quality 50 and the Huffman tables of ITU-T T.81, annex K, which RFC 2435
    means (appendices A and B): libjpeg writes them into every file."""
    file = io.BytesIO()
    Image.new("RGB", (16, 16)).save(file, "JPEG", quality=50, optimize=False)
    data, at = file.getvalue(), 2
    quantizers, huffman = b"", []
    while data[at + 1] != _SCAN:
        size = int.from_bytes(data[at + 2 : at + 4], "big")
        content = data[at + 4 : at + 2 + size]
        if data[at + 1] == _QUANTIZATION:
            quantizers += content[1:65] + content[66:130]
        elif data[at + 1] == _HUFFMAN:
            huffman.append(content)
        at += 2 + size
    return quantizers, huffman


_QUANTIZERS, _HUFFMAN_TABLES = _standard()


class Jpeg:
    """RFC 2435: the scan's data, of which the receiver makes a JPEG file with headers of its own.
    Every frame is a keyframe."""

    def __init__(self) -> None:
        self._tables: dict[int, bytes] = {}
        self.begin(whole=False)

    def begin(self, *, whole: bool) -> None:
        self._parts: list[bytes] = []
        self._bytes = 0
        self._header = b""

    def add(self, payload: bytes) -> None:
        if len(payload) < 8:
            raise BrokenPayload("the JPEG header is cut off")
        offset = int.from_bytes(payload[1:4], "big")
        if offset != self._bytes:
            raise BrokenPayload("a part of the picture is missing")
        kind, quality = payload[4], payload[5]
        if kind & 0x3F > 1 or not payload[6] or not payload[7]:
            raise BrokenPayload(f"JPEG of type {kind} is not taken")
        at = 8
        restart = 0
        if kind & 0x40:
            restart = int.from_bytes(payload[at : at + 2], "big")
            at += 4
        if offset == 0:
            tables = b""
            if quality >= 128:
                size = int.from_bytes(payload[at + 2 : at + 4], "big")
                tables = payload[at + 4 : at + 4 + size]
                at += 4 + size
            self._header = _jpeg_header(
                kind & 1, payload[6], payload[7], self._quantizers(quality, tables), restart
            )
        part = payload[at:]
        self._bytes += len(part)
        if self._bytes > MOST_FRAME_BYTES:
            raise BrokenPayload(f"a frame of more than {MOST_FRAME_BYTES} bytes")
        self._parts.append(part)

    def end(self) -> tuple[bytes, bool] | None:
        if not self._bytes:
            return None
        end = b"" if self._parts[-1].endswith(b"\xff\xd9") else b"\xff\xd9"
        return b"".join([self._header, *self._parts, end]), True

    def _quantizers(self, quality: int, tables: bytes) -> bytes:
        """The two tables of 64 bytes (section 4.2): of the standard, scaled, or the camera's."""
        if quality < 128:
            if not 1 <= quality <= 99:
                raise BrokenPayload(f"JPEG of quality {quality} is not taken")
            scale = 5000 // quality if quality < 50 else 200 - quality * 2
            return bytes(min(max((v * scale + 50) // 100, 1), 255) for v in _QUANTIZERS)
        if tables and quality < 255:
            self._tables[quality] = tables
        tables = tables or self._tables.get(quality, b"")
        if len(tables) not in (64, 128):
            raise BrokenPayload("JPEG of 8 bits with one or two tables is taken")
        return tables if len(tables) == 128 else tables * 2


def _segment(marker: int, *parts: bytes) -> bytes:
    content = b"".join(parts)
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def _jpeg_header(kind: int, width: int, height: int, quantizers: bytes, restart: int) -> bytes:
    """All before the scan's data. kind: 0 is 4:2:2, 1 is 4:2:0; width, height: in units of 8
    pixels; restart: the interval in macroblocks, 0: none."""
    sampling = 0x22 if kind else 0x21
    frame = struct.pack(">BHHB", 8, height * 8, width * 8, 3)
    components = bytes([1, sampling, 0, 2, 0x11, 1, 3, 0x11, 1])
    return b"".join(
        [
            b"\xff\xd8",
            _segment(_QUANTIZATION, b"\0", quantizers[:64], b"\1", quantizers[64:]),
            _segment(0xDD, struct.pack(">H", restart)) if restart else b"",
            _segment(0xC0, frame, components),
            *(_segment(_HUFFMAN, table) for table in _HUFFMAN_TABLES),
            _segment(_SCAN, bytes([3, 1, 0, 2, 0x11, 3, 0x11, 0, 63, 0])),
        ]
    )
