"""Pictures are what their sender made, bit for bit, or do not come at all."""

import asyncio
import os
import threading
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import pytest

from server.rtp_counters import RtpCounters
from server.rtp_decoder import MOST_FAILURES, MOST_QUEUED, MOST_QUEUED_BYTES, Decoder
from server.rtp_depacketizer import depacketizer
from server.rtp_frames import EncodedFrame, FrameAssembly
from server.rtp_order import PacketOrder
from server.rtp_packet import parse
from tests.server.rtp_stream import FPS, luma, shaken, stream

PIXELS = 2**20


class Shown:
    """What a decoder shows. slow: seconds for each picture, on the event loop."""

    def __init__(self, codec: str, pixels: int = PIXELS) -> None:
        self.pictures: list[av.VideoFrame] = []
        self.counters = RtpCounters()
        self.decoder = Decoder(codec.lower(), pixels, self.counters, self.pictures.append)

    async def __aenter__(self) -> "Shown":
        return self

    async def __aexit__(self, *_: object) -> None:
        self.decoder.close()
        async with asyncio.timeout(5):
            await self.decoder.closed()

    async def put(self, frame: EncodedFrame) -> None:
        """And time to decode it."""
        self.decoder.put(frame)
        for _ in range(400):
            if not self.decoder._queue:
                return
            await asyncio.sleep(0.0005)

    async def shown(self, count: int) -> None:
        """Waits for so many pictures."""
        for _ in range(2000):
            if len(self.pictures) >= count:
                return
            await asyncio.sleep(0.01)

    async def settled(self) -> list[av.VideoFrame]:
        before = -1
        while before != len(self.pictures) or self.decoder._queue:
            before = len(self.pictures)
            await asyncio.sleep(0.05)
        return self.pictures


def _encoded(packets: Any, codec: str, counters: RtpCounters) -> list[EncodedFrame]:
    order = PacketOrder(counters)
    frames = FrameAssembly(depacketizer(codec), counters)  # type: ignore[arg-type]
    out = []
    for number, packet in enumerate(packets):
        for ordered, lost in order.add(parse(packet), number / 300):
            out += frames.add(ordered, lost)
    for ordered, lost in order.expire(float("inf")):
        out += frames.add(ordered, lost)
    return out


B_FRAMES = (("tune", "film"), ("bf", "2"), ("b-pyramid", "none"))


@pytest.mark.parametrize(
    ("codec", "extra"), [("H264", ()), ("H264", B_FRAMES), ("VP8", ())], ids=["H264", "B", "VP8"]
)
@pytest.mark.parametrize("seed", [1, 2])
async def test_no_picture_is_smeared_where_packets_are_lost_and_overtake(
    codec: str, extra: tuple[tuple[str, str], ...], seed: int
) -> None:
    sent = stream(codec, 300, packet_bytes=1200, extra=extra)
    async with Shown(codec) as shown:
        for frame in _encoded(shaken(sent.packets, seed), codec, shown.counters):
            await shown.put(frame)
        pictures = await shown.settled()
    assert shown.counters.packets_lost >= 10
    assert 20 < len(pictures) < 250
    for picture in pictures:
        clean = sent.pictures[picture.pts & 0xFFFFFFFF]
        assert (luma(picture) == clean).all()


async def test_what_builds_on_a_loss_would_be_smeared() -> None:
    """What the test above would see."""
    sent = stream("H264", 30)
    frames = _encoded(sent.packets, "H264", RtpCounters())
    async with Shown("H264") as shown:
        for frame in frames[:3] + frames[6:15]:
            await shown.put(frame)
        pictures = await shown.settled()
    assert any((luma(p) != sent.pictures[p.pts & 0xFFFFFFFF]).any() for p in pictures)


async def test_times_are_of_the_rtp_clock() -> None:
    async with Shown("VP8") as shown:
        for frame in _encoded(stream("VP8", 30).packets, "VP8", shown.counters):
            await shown.put(frame)
        times = [picture.time for picture in await shown.settled()]
    steps = [later - earlier for earlier, later in pairwise(times)]
    assert len(times) == 30 and all(step == pytest.approx(1 / FPS, abs=1e-4) for step in steps)


async def test_frames_that_come_too_fast_go_up_to_a_keyframe() -> None:
    frames = _encoded(stream("H264", 300).packets, "H264", RtpCounters())
    async with Shown("H264") as shown:
        with shown.decoder._lock:  # the thread cannot take any
            for frame in frames[:20]:
                shown.decoder._queue.append(frame)
        for frame in frames[20:]:
            shown.decoder.put(frame)
            assert len(shown.decoder._queue) <= MOST_QUEUED
        pictures = await shown.settled()
    clean = stream("H264", 300).pictures
    assert shown.counters.frames_crowded > 0
    assert all((luma(p) == clean[p.pts & 0xFFFFFFFF]).all() for p in pictures)


async def test_queued_bytes_have_bounds() -> None:
    frames = _encoded(stream("H264", 30).packets, "H264", RtpCounters())
    huge = EncodedFrame(frames[1].data + bytes(2**22), 0, key=False)
    async with Shown("H264") as shown:
        with shown.decoder._lock:
            for _ in range(8):
                shown.decoder.put(huge)
            shown.decoder._waiting = False
            for _ in range(8):
                shown.decoder.put(huge)
            assert shown.decoder._queued_bytes <= MOST_QUEUED_BYTES
    assert shown.counters.frames_crowded > 8


async def test_damaged_frames_are_counted_and_the_next_keyframe_is_good() -> None:
    sent = stream("H264", 60)
    frames = _encoded(sent.packets, "H264", RtpCounters())
    broken = EncodedFrame(b"\0\0\0\1\x65" + bytes(range(256)) * 4, frames[0].timestamp, key=True)
    async with Shown("H264") as shown:
        for frame in [broken, *frames[1:15], *frames[15:30]]:
            await shown.put(frame)
        pictures = await shown.settled()
    assert shown.counters.frames_undecodable == 15
    assert [p.pts & 0xFFFFFFFF for p in pictures] == [*sent.pictures][15:30]


async def test_a_picture_that_is_too_large_takes_no_memory() -> None:
    frames = _encoded(stream("H264", 15).packets, "H264", RtpCounters())
    async with Shown("H264", pixels=160 * 120 - 1) as shown:
        for frame in frames:
            await shown.put(frame)
        assert await shown.settled() == []
        assert shown.decoder.too_large == (160, 120)
        shown.decoder.restart()
        assert shown.decoder.too_large is None


def _resident() -> int:
    """Bytes of memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize("codec", ["H264", "VP8"])
async def test_a_stream_that_changes_its_size_goes_on(codec: str) -> None:
    small = _encoded(stream(codec, 30, size=(96, 64)).packets, codec, RtpCounters())
    large = _encoded(stream(codec, 30).packets, codec, RtpCounters())
    async with Shown(codec) as shown:
        for frame in small[:20] + large[:20] + small[15:]:
            await shown.put(frame)
        pictures = await shown.settled()
    assert [p.width for p in pictures] == [96] * 20 + [160] * 20 + [96] * 15
    assert shown.counters.frames_undecodable == 0


async def test_4k_takes_no_more_memory_the_longer_it_lasts() -> None:
    frames = _encoded(
        stream("H264", 2, 2, (3840, 2160), packet_bytes=1400).packets, "H264", RtpCounters()
    )
    taken = []
    async with Shown("H264", pixels=3840 * 2160) as shown:
        for _ in range(8):
            for frame in frames:
                await shown.put(frame)
            await shown.shown(2)
            assert len(await shown.settled()) == 2
            shown.pictures.clear()
            taken.append(_resident())
    assert max(taken) - taken[1] < 3840 * 2160 * 2


async def test_nothing_of_a_former_stream_is_shown_after_a_restart() -> None:
    first = _encoded(stream("H264", 30).packets, "H264", RtpCounters())
    second = _encoded(stream("H264", 30, size=(96, 64)).packets, "H264", RtpCounters())
    async with Shown("H264") as shown:
        for frame in first:
            shown.decoder.put(frame)
        shown.decoder.restart()
        at = len(shown.pictures)
        for frame in second[4:]:  # from the midst of a GOP
            await shown.put(frame)
        pictures = (await shown.settled())[at:]
    assert {(p.width, p.height) for p in pictures} == {(96, 64)} and len(pictures) == 15


async def test_a_busy_loop_is_not_piled_up_with_pictures() -> None:
    frames = _encoded(stream("H264", 60).packets, "H264", RtpCounters())
    async with Shown("H264") as shown:
        for frame in frames:
            shown.decoder.put(frame)
        time.sleep(0.3)  # noqa: ASYNC251  (this is the busy loop)
        assert len(shown.decoder._pictures) <= 4
        last = (await shown.settled())[-1]
    assert last.pts & 0xFFFFFFFF == [*stream("H264", 60).pictures][-1]


async def test_a_decoder_that_fails_begins_anew_with_the_next_keyframe(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sent = stream("H264", 60)
    frames = _encoded(sent.packets, "H264", RtpCounters())
    decode, failing = Decoder._decode, [frames[3].timestamp, frames[20].timestamp]

    def fails(self: Decoder, context: Any, frame: EncodedFrame) -> bool:
        if frame.timestamp in failing:
            raise MemoryError("no room for a picture")
        return decode(self, context, frame)

    monkeypatch.setattr(Decoder, "_decode", fails)
    async with Shown("H264") as shown:
        for frame in frames:
            await shown.put(frame)
        pictures = await shown.settled()
        assert not shown.decoder.failed and not shown.decoder.failures
    times = [p.pts & 0xFFFFFFFF for p in pictures]
    clean = [*sent.pictures]
    assert times == clean[:3] + clean[15:20] + clean[30:], "from one keyframe to the next"


async def test_a_decoder_that_fails_again_and_again_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fails(self: Decoder) -> None:
        raise RuntimeError("no such codec")

    monkeypatch.setattr(Decoder, "_context", fails)
    frames = _encoded(stream("H264", 60).packets, "H264", RtpCounters())
    async with Shown("H264") as shown:
        for frame in frames:
            await shown.put(frame)
        async with asyncio.timeout(5):
            await shown.decoder.closed()
        assert shown.decoder.failed and shown.decoder.failures == MOST_FAILURES
        assert not shown.pictures and not shown.decoder._queue


async def test_a_picture_that_cannot_be_handed_on_does_not_silence_the_stream() -> None:
    frames = _encoded(stream("H264", 45).packets, "H264", RtpCounters())
    shown: list[av.VideoFrame] = []

    def refuse(picture: av.VideoFrame) -> None:
        if not shown:
            shown.append(picture)
            raise ValueError("not this one")
        shown.append(picture)

    decoder = Decoder("h264", PIXELS, RtpCounters(), refuse)
    for frame in frames:
        decoder.put(frame)
        await asyncio.sleep(0.005)
    decoder.close()
    await decoder.closed()
    decoder._thread.join(5)
    assert len(shown) > 15 and not decoder.failures


async def test_closing_ends_the_thread() -> None:
    before = threading.active_count()
    many = [Shown("VP8") for _ in range(8)]
    assert threading.active_count() == before + 8
    for shown in many:
        shown.decoder.close()
        shown.decoder.close()
        await shown.decoder.closed()
        shown.decoder.put(EncodedFrame(b"late", 0, key=True))
    deadline = time.monotonic() + 5
    while threading.active_count() > before:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)
