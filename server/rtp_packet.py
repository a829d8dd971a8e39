"""RTP and RTCP datagrams (RFC 3550), told apart where they share a port (RFC 5761, section 4).

Knows nothing about codecs or the network.
"""

import struct
from dataclasses import dataclass
from typing import Final

SEQUENCE_BITS: Final = 16
TIMESTAMP_BITS: Final = 32
_VERSION: Final = 2
_HEADER: Final = struct.Struct(">BBHII")
_WORD: Final = 4
_RTCP_TYPES: Final = range(192, 224)
_BYE: Final = 203


class MalformedPacket(ValueError):
    """These bytes are no packet, or not a whole one."""


@dataclass(frozen=True, slots=True)
class RtpPacket:
    """sequence: 16 bits; timestamp, ssrc: 32 bits; payload: without padding, may be empty."""

    payload_type: int
    marker: bool
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes


def is_rtcp(datagram: bytes) -> bool:
    """Whether this is RTCP rather than RTP: the second byte tells (RFC 5761, section 4)."""
    return len(datagram) > 1 and datagram[1] in _RTCP_TYPES


def parse(datagram: bytes) -> RtpPacket:
    """An RTP packet; contributing sources and a header extension are passed over (RFC 3550,
    sections 5.1 and 5.3.1). Raises MalformedPacket."""
    if len(datagram) < _HEADER.size:
        raise MalformedPacket(f"{len(datagram)} bytes are no RTP header")
    first, second, sequence, timestamp, ssrc = _HEADER.unpack_from(datagram)
    if first >> 6 != _VERSION:
        raise MalformedPacket(f"version {first >> 6} is not {_VERSION}")
    begin = _HEADER.size + _WORD * (first & 0x0F)
    end = len(datagram)
    if first & 0x10:
        if begin + _WORD > end:
            raise MalformedPacket("the header extension is cut off")
        begin += _WORD + _WORD * int.from_bytes(datagram[begin + 2 : begin + 4], "big")
    if first & 0x20:
        padding = datagram[-1]
        if padding == 0:
            raise MalformedPacket("padding of no bytes")
        end -= padding
    if begin > end:
        raise MalformedPacket("the header is longer than the packet")
    payload = datagram[begin:end]
    return RtpPacket(second & 0x7F, second >= 0x80, sequence, timestamp, ssrc, payload)


def goodbyes(datagram: bytes) -> frozenset[int]:
    """The sources that say BYE in an RTCP packet, compound or not (RFC 3550, sections 6.1 and
    6.6). Raises MalformedPacket."""
    leaving: set[int] = set()
    at = 0
    while at < len(datagram):
        if at + _WORD > len(datagram) or datagram[at] >> 6 != _VERSION:
            raise MalformedPacket("this is no RTCP packet")
        words = int.from_bytes(datagram[at + 2 : at + 4], "big")
        end = at + _WORD * (words + 1)
        if end > len(datagram):
            raise MalformedPacket("the RTCP packet is cut off")
        if datagram[at + 1] == _BYE:
            sources = datagram[at] & 0x1F
            if sources > words:
                raise MalformedPacket("a BYE of more sources than it holds")
            leaving.update(struct.unpack_from(f">{sources}I", datagram, at + _WORD))
        at = end
    return frozenset(leaving)


def difference(later: int, earlier: int, bits: int) -> int:
    """How far one number of so many bits is after another, the shorter way round: negative where
    it is before."""
    ahead = (later - earlier) & ((1 << bits) - 1)
    return ahead - (1 << bits) if ahead >> (bits - 1) else ahead


class Unwrapped:
    """Numbers of so many bits, which begin again at 0, as numbers that go on."""

    def __init__(self, bits: int) -> None:
        self._bits = bits
        self._last: int | None = None

    def __call__(self, number: int) -> int:
        """The number, where each is near the one before."""
        if self._last is None:
            self._last = number
        else:
            self._last += difference(number, self._last, self._bits)
        return self._last
