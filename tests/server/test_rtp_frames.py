"""Frames are whole, and follow a keyframe without a gap."""

from collections.abc import Iterable
from dataclasses import replace
from itertools import chain

import pytest

from server.rtp_counters import RtpCounters
from server.rtp_depacketizer import depacketizer
from server.rtp_frames import EncodedFrame, FrameAssembly
from server.rtp_packet import RtpPacket, parse
from tests.server.rtp_stream import stream

CODECS = ("H264", "VP8")


def _assembly(codec: str) -> tuple[FrameAssembly, RtpCounters]:
    counters = RtpCounters()
    return FrameAssembly(depacketizer(codec), counters), counters


def _frames(codec: str, packets: Iterable[RtpPacket]) -> list[EncodedFrame]:
    """Where the sequence has holes, something was lost."""
    assembly, _ = _assembly(codec)
    expected, out = None, []
    for packet in packets:
        out += assembly.add(packet, packet.sequence != expected)
        expected = packet.sequence + 1 & 0xFFFF
    return out


@pytest.fixture(params=CODECS)
def codec(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def _packets(codec: str) -> list[RtpPacket]:
    return [parse(packet) for packet in stream(codec).packets]


def test_every_frame_comes_with_its_last_packet(codec: str) -> None:
    assembly, counters = _assembly(codec)
    for number, frame in enumerate(stream(codec).frames()):
        *before, last = map(parse, frame)
        assert [assembly.add(packet, lost=False) for packet in before] == [[]] * len(before)
        (whole,) = assembly.add(last, lost=False)
        assert whole.key == (number % 15 == 0)
    assert counters == RtpCounters() and not assembly.waiting


def test_from_the_midst_of_a_gop_nothing_comes_before_a_keyframe(codec: str) -> None:
    frames = stream(codec).frames()
    assembly, counters = _assembly(codec)
    begin = [*map(parse, chain.from_iterable(frames[4:15]))][1:]
    for packet in begin:
        assert assembly.add(packet, lost=packet is begin[0]) == []
    assert assembly.waiting and counters.frames_skipped + counters.frames_broken == 11
    shown = [
        f for p in map(parse, chain.from_iterable(frames[15:])) for f in assembly.add(p, lost=False)
    ]
    assert shown[0].key and len(shown) == 45


@pytest.mark.parametrize("lost", ["first", "middle", "last", "all"])
def test_after_a_loss_nothing_comes_before_the_next_keyframe(codec: str, lost: str) -> None:
    frames = [[*map(parse, frame)] for frame in stream(codec).frames()]
    at = next(n for n in range(3, 15) if len(frames[n]) > 2)
    hole = {"first": slice(0, 1), "middle": slice(1, 2), "last": slice(-1, None)}
    del frames[at][hole.get(lost, slice(None))]
    times = [packet.timestamp for frame in frames for packet in frame[:1]]
    shown = [frame.timestamp & 0xFFFFFFFF for frame in _frames(codec, chain.from_iterable(frames))]
    expected = [frame[0].timestamp for n, frame in enumerate(frames) if n < at or n >= 15]
    assert shown == expected and len(times) > len(shown)


def test_a_damaged_keyframe_is_waited_over(codec: str) -> None:
    frames = [[*map(parse, frame)] for frame in stream(codec).frames()]
    for at in range(len(frames[15])):
        hurt = [frame.copy() for frame in frames]
        del hurt[15][at]
        shown = _frames(codec, chain.from_iterable(hurt))
        assert len(shown) == 45, f"packet {at} of the keyframe is missing"


def test_without_markers_a_frame_ends_where_the_next_begins(codec: str) -> None:
    packets = [replace(packet, marker=False) for packet in _packets(codec)]
    marked = _frames(codec, _packets(codec))
    assert _frames(codec, packets) == marked[:-1]


def _ends_unit(payload: bytes) -> bool:
    """A fragment (28) that is not the last one does not."""
    return payload[0] & 0x1F != 28 or bool(payload[1] & 0x40)


def test_markers_in_the_midst_of_frames_are_seen_through() -> None:
    packets = [parse(p) for p in stream("H264", 60, extra=(("slices", "3"),)).packets]
    slices = [replace(packet, marker=_ends_unit(packet.payload)) for packet in packets]
    assert sum(p.marker for p in slices) > 2 * sum(p.marker for p in packets)
    right = {frame.timestamp: frame for frame in _frames("H264", packets)}
    shown = _frames("H264", slices)
    # The first frame shows what its sender is like, and is used up by that.
    assert len(shown) > 40 and all(frame == right[frame.timestamp] for frame in shown[1:])


def test_sequence_and_time_begin_again(codec: str) -> None:
    packets = _packets(codec)
    near = 2**32 - 90_000
    moved = [
        replace(
            packet,
            sequence=packet.sequence - packets[0].sequence + 65_500 & 0xFFFF,
            timestamp=packet.timestamp - packets[0].timestamp + near & 0xFFFFFFFF,
        )
        for packet in packets
    ]
    assert moved[-1].sequence < 1000 and moved[-1].timestamp < near
    times = [frame.timestamp for frame in _frames(codec, moved)]
    assert times == [near + 6000 * n for n in range(60)]


def test_padding_changes_nothing(codec: str) -> None:
    assembly, counters = _assembly(codec)
    out = []
    for packet in _packets(codec):
        out += assembly.add(packet, lost=False)
        out += assembly.add(replace(packet, payload=b"", marker=False), lost=False)
    assert len(out) == 60 and counters == RtpCounters()


def test_missing_parameter_sets_are_told() -> None:
    bare = [parse(packet) for packet in stream("H264", headers=False).packets]
    assembly, counters = _assembly("H264")
    assert not [frame for packet in bare for frame in assembly.add(packet, lost=False)]
    assert assembly.missing_sets and counters.frames_broken == 4
