"""RTP and RTCP are read as the RFC has them, and whatever else comes is no packet."""

import struct

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from server.rtp_packet import (
    MalformedPacket,
    RtpPacket,
    Unwrapped,
    difference,
    goodbyes,
    is_rtcp,
    parse,
)
from tests.server.rtp_stream import stream

PLAIN = struct.pack(">BBHII", 0x80, 0xE0, 65535, 2**32 - 1, 7) + b"payload"


def test_a_plain_packet() -> None:
    assert parse(PLAIN) == RtpPacket(96, True, 65535, 2**32 - 1, 7, b"payload")


def test_sources_extension_and_padding_are_no_payload() -> None:
    header = struct.pack(">BBHII", 0x80 | 0x20 | 0x10 | 2, 96, 1, 2, 3)
    extension = b"\xbe\xde\x00\x01" + b"\x10\xaa\x00\x00"
    packet = header + b"\0" * 8 + extension + b"payload" + b"\0\0\3"
    assert parse(packet) == RtpPacket(96, False, 1, 2, 3, b"payload")


@pytest.mark.parametrize(
    "datagram",
    [
        b"",
        PLAIN[:11],
        b"\x40" + PLAIN[1:],  # version 1
        b"\x8f" + PLAIN[1:],  # 15 sources that are not there
        b"\x90" + PLAIN[1:12] + b"\xbe\xde",  # half an extension
        b"\x90" + PLAIN[1:12] + b"\xbe\xde\xff\xff",
        b"\xa0" + PLAIN[1:] + b"\x00",  # padding of nothing
        b"\xa0" + PLAIN[1:] + b"\xff",  # more padding than packet
    ],
)
def test_what_is_no_packet_is_refused(datagram: bytes) -> None:
    with pytest.raises(MalformedPacket):
        parse(datagram)


def _rtcp(kind: int, count: int, *words: int) -> bytes:
    return struct.pack(f">BBH{len(words)}I", 0x80 | count, kind, len(words), *words)


def test_goodbyes_are_found_in_compound_packets() -> None:
    report = _rtcp(200, 0, 7, 0, 0, 0, 0, 0)
    assert goodbyes(report) == frozenset()
    assert goodbyes(report + _rtcp(203, 2, 7, 8)) == {7, 8}
    assert goodbyes(_rtcp(203, 1, 7, 0x03627965)) == {7}  # with a reason
    assert goodbyes(_rtcp(203, 0)) == frozenset()
    assert is_rtcp(report) and not is_rtcp(PLAIN) and not is_rtcp(b"\x80")
    last = stream("VP8").reports[-1]  # of libavformat, which says goodbye at the end
    assert is_rtcp(last) and goodbyes(last) == {7}


@pytest.mark.parametrize(
    "datagram", [b"\x81\xcb", _rtcp(203, 2, 7), _rtcp(203, 1, 7)[:-1], b"\x01\xcb\0\0"]
)
def test_broken_rtcp_is_refused(datagram: bytes) -> None:
    with pytest.raises(MalformedPacket):
        goodbyes(datagram)


@given(st.binary(max_size=200))
@example(PLAIN)
def test_any_bytes_are_a_packet_or_refused(datagram: bytes) -> None:
    for read in (parse, goodbyes):
        try:
            read(datagram)
        except MalformedPacket:
            continue


def test_numbers_go_on_where_their_bits_begin_again() -> None:
    goes_on = Unwrapped(16)
    assert [goes_on(n) for n in (65534, 65535, 0, 65535, 1)] == [65534, 65535, 65536, 65535, 65537]
    assert difference(0, 65535, 16) == 1 and difference(65535, 0, 16) == -1
    assert difference(0x8000, 0, 16) == -0x8000


@given(st.integers(0, 2**32 - 1), st.lists(st.integers(-(2**31) + 1, 2**31 - 1), max_size=20))
def test_unwrapped_numbers_keep_their_distances(first: int, steps: list[int]) -> None:
    goes_on, expected = Unwrapped(32), first
    assert goes_on(first) == first
    for step in steps:
        expected += step
        assert goes_on(expected & 0xFFFFFFFF) == expected
