"""Pictures come out of their packets at once, in order, and a few at a time."""

import asyncio
import queue
import threading
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest
from aiortc.jitterbuffer import JitterFrame
from aiortc.rtp import RtpPacket
from av import VideoFrame

from server.receiving import WholeFrames, decode

VP8 = SimpleNamespace(name="VP8", mimeType="video/VP8")
H264 = SimpleNamespace(name="H264", mimeType="video/H264")


def _packet(number: int, timestamp: int, data: bytes, *, marker: bool = False) -> RtpPacket:
    packet = RtpPacket(
        sequence_number=number % 65536, timestamp=timestamp % (1 << 32), marker=int(marker)
    )
    packet._data = data
    return packet


def _taken(buffer: WholeFrames, *packets: RtpPacket) -> list[bytes]:
    """The pictures that come out, each as the bytes of its packets."""
    found = []
    for packet in packets:
        _, frame = buffer.add(packet)
        if frame is not None:
            found += [one.data for one in frame.all()]
    return found


def test_a_picture_is_whole_with_its_marked_packet() -> None:
    buffer = WholeFrames(capacity=32, is_video=True)
    assert _taken(buffer, _packet(65534, 0, b"a")) == []
    assert _taken(buffer, _packet(65535, 0, b"b"), _packet(0, 0, b"c", marker=True)) == [b"abc"]
    assert _taken(buffer, _packet(1, 3000, b"d", marker=True)) == [b"d"]


def test_without_markers_it_is_whole_when_the_next_begins() -> None:
    buffer = WholeFrames(capacity=32, is_video=True)
    assert _taken(buffer, _packet(0, 0, b"a"), _packet(1, 0, b"b")) == []
    assert _taken(buffer, _packet(2, 3000, b"c")) == [b"ab"]


def test_markers_that_come_too_early_are_believed_once() -> None:
    buffer = WholeFrames(capacity=32, is_video=True)
    slices = [_packet(n, n // 2 * 3000, b"%d" % n, marker=True) for n in range(8)]
    assert _taken(buffer, *slices) == [b"0", b"1", b"23", b"45"]


def test_what_waited_for_a_lost_packet_comes_at_once_with_its_times() -> None:
    buffer = WholeFrames(capacity=32, is_video=True)
    begin = (1 << 32) - 3000  # the clock runs over in between
    late = _packet(1, begin + 3000, b"b", marker=True)
    assert _taken(buffer, _packet(0, begin, b"a", marker=True)) == [b"a"]
    assert _taken(buffer, *[_packet(n, begin + n * 3000, b"x", marker=True) for n in (2, 3)]) == []
    _, frame = buffer.add(late)
    assert frame is not None
    frame.timestamp = 3000  # as aiortc maps it
    assert [one.timestamp for one in frame.all()] == [3000, 6000, 9000]
    assert _taken(buffer, _packet(4, begin + 12000, b"e", marker=True)) == [b"e"]


def test_packets_out_of_order_make_the_same_picture() -> None:
    buffer = WholeFrames(capacity=32, is_video=True)
    order = [0, 2, 1, 4, 3, 5]
    packets = [_packet(n, n // 3 * 3000, b"%d" % n, marker=n % 3 == 2) for n in range(6)]
    assert _taken(buffer, *[packets[n] for n in order]) == [b"012", b"345"]


def test_padding_is_no_picture_and_does_not_fill_the_buffer() -> None:
    buffer = WholeFrames(capacity=32, is_video=True)
    assert _taken(buffer, _packet(0, 0, b"a", marker=True)) == [b"a"]
    padding = [_packet(n, 0, b"") for n in range(1, 200)]
    assert _taken(buffer, *padding) == []
    assert _taken(buffer, _packet(200, 3000, b"b", marker=True)) == [b"b"]
    assert _taken(buffer, _packet(201, 3000, b""), _packet(202, 6000, b"c", marker=True)) == [b"c"]


def test_sound_is_left_to_aiortc() -> None:
    buffer = WholeFrames(capacity=16, prefetch=4)
    packets = [_packet(n, n * 960, b"%d" % n, marker=True) for n in range(5)]
    frames = [buffer.add(packet)[1] for packet in packets]
    assert [frame and frame.data for frame in frames] == [None, None, None, None, b"0"]


def _encoded(count: int, keyframes: set[int]) -> list[JitterFrame]:
    """Pictures in VP8, each of another grey."""
    codec: Any = av.CodecContext.create("libvpx", "w")
    codec.width, codec.height, codec.pix_fmt = 64, 48, "yuv420p"
    codec.time_base, codec.options = (
        Fraction(1, 90000),
        {"lag-in-frames": "0", "deadline": "realtime"},
    )
    encoded = []
    for number in range(count):
        pixels = np.full((48, 64, 3), 2 * number, np.uint8)
        frame = VideoFrame.from_ndarray(pixels, "rgb24").reformat(format="yuv420p")
        frame.pts, frame.time_base = number * 3000, Fraction(1, 90000)
        if number in keyframes:
            frame.pict_type = av.video.frame.PictureType.I
        encoded += [JitterFrame(bytes(one), number * 3000) for one in codec.encode(frame)]
    return encoded


class _Decoding:
    """The thread of a receiver, and what it hands to the event loop."""

    def __init__(self, codec: Any) -> None:
        self.codec = codec
        self.waiting: queue.Queue[Any] = queue.Queue()
        self.decoded: asyncio.Queue[Any] = asyncio.Queue()
        self.wanted = threading.Event()
        loop = asyncio.get_running_loop()
        self.thread = threading.Thread(
            target=decode, args=(loop, self.waiting, self.decoded, self.wanted)
        )

    def put(self, frames: list[JitterFrame]) -> None:
        for frame in frames:
            self.waiting.put((self.codec, frame))

    async def end(self) -> list[VideoFrame]:
        self.waiting.put(None)
        frames = []
        while (frame := await asyncio.wait_for(self.decoded.get(), 30)) is not None:
            frames.append(frame)
        self.thread.join()
        return frames


async def test_everything_is_decoded_where_nothing_is_late() -> None:
    decoding = _Decoding(VP8)
    decoding.thread.start()
    frames = []
    for frame in _encoded(20, {0}):
        decoding.put([frame])
        frames.append(await asyncio.wait_for(decoding.decoded.get(), 30))
    assert [frame.pts for frame in frames] == [n * 3000 for n in range(20)]
    assert await decoding.end() == [] and not decoding.wanted.is_set()


async def test_a_decoder_that_is_behind_goes_on_at_a_keyframe() -> None:
    decoding = _Decoding(VP8)
    encoded = _encoded(120, {0, 30, 90})
    decoding.put(encoded)  # before it has begun
    decoding.waiting.put(None)
    decoding.thread.start()
    frames = await decoding.end()
    assert decoding.wanted.is_set()
    assert frames[-1].pts == 119 * 3000
    assert all(frame.pts >= 90 * 3000 for frame in frames)


async def test_a_loop_that_is_late_gets_the_newest() -> None:
    decoding = _Decoding(VP8)
    decoding.put(_encoded(30, {0}))
    decoding.waiting.put(None)
    decoding.thread.start()
    decoding.thread.join()  # and the loop stands still
    frames = await decoding.end()
    assert 1 <= len(frames) <= 4 and frames[-1].pts == 29 * 3000


@pytest.mark.parametrize("codec", [VP8, H264])
async def test_rubbish_asks_for_a_keyframe_and_ends_nothing(codec: Any) -> None:
    decoding = _Decoding(codec)
    decoding.thread.start()
    decoding.put([JitterFrame(data, 0) for data in (b"", b"\x01", b"\xff" * 99, b"\0\0\1\x65" * 9)])
    assert await asyncio.to_thread(decoding.wanted.wait, 30)
    decoding.put([JitterFrame(b"\x00", 3000)])
    await decoding.end()
