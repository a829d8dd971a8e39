"""Packets of a camera become pictures, whatever its clock says."""

import asyncio
from collections.abc import Callable

import pytest
from av import VideoFrame

from server import rtsp_stream
from server.rtp_decoder import Decoder
from server.rtp_packet import parse
from server.rtsp_sdp import VideoTrack
from server.rtsp_stream import RtspStream
from tests.server.clients import eventually, picture
from tests.server.rtp_stream import stream
from tests.server.scripted_rtsp import jpeg_payload, rtp

TRACK = VideoTrack("JPEG", 26, "rtsp://x", "rtsp://x", ())
PICTURE = jpeg_payload(picture(90))


async def shown(clock: Callable[[int], int], count: int, pause: float = 0.002) -> list[VideoFrame]:
    pictures: list[VideoFrame] = []
    watched = RtspStream(TRACK, 2**24, pictures.append)
    try:
        for index in range(count):
            assert watched.take(rtp(65500 + index, clock(index), PICTURE))
            await asyncio.sleep(pause)
        await eventually(lambda: pictures, 10)
        await asyncio.sleep(0.05)
    finally:
        watched.close()
    return pictures


async def test_times_go_on_where_their_32_bits_begin_again() -> None:
    pictures = await shown(lambda i: 2**32 - 45_000 + i * 9_000, 10)
    times = [picture.time for picture in pictures if picture.time is not None]
    assert [round(time - times[0], 3) for time in times] == [i / 10 for i in range(10)]


async def test_a_clock_that_stands_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rtsp_stream, "_SAME_SECONDS", 0.2)
    pictures = await shown(lambda _: 1234, 60, 0.01)
    times = [picture.time or 0 for picture in pictures]
    assert len(times) > 20 and times == sorted(set(times))


async def test_what_is_not_of_the_picture_is_passed_over() -> None:
    watched = RtspStream(TRACK, 2**24, lambda _: None)
    try:
        assert not watched.take(b"\x80")
        assert not watched.take(rtp(0, 0, b"sound", kind=0))
        assert "no keyframe" in watched.trouble
    finally:
        watched.close()


async def test_pictures_that_are_too_large_are_told() -> None:
    packets = stream("H264", 5).packets
    track = VideoTrack("H264", parse(packets[0]).payload_type, "rtsp://x", "rtsp://x", ())
    for most_pixels, words in ((1000, "160×120"), (2**20, "")):
        pictures: list[VideoFrame] = []
        watched = RtspStream(track, most_pixels, pictures.append)
        for packet in packets:
            assert watched.take(packet)
        await eventually(lambda p=pictures, w=watched: p or w._decoder.too_large, 10)
        watched.close()
        assert words in watched.trouble and bool(words) == (not pictures)
        assert bool(words) == ("LOOKBACK_PICTURE_PIXELS" in watched.trouble)


async def test_a_decoder_that_fails_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(self: Decoder) -> None:
        raise RuntimeError("no such codec")

    monkeypatch.setattr(Decoder, "_context", fails)
    packets = stream("H264", 60, 15).packets
    track = VideoTrack("H264", parse(packets[0]).payload_type, "rtsp://x", "rtsp://x", ())
    watched = RtspStream(track, 2**20, lambda picture: None)
    for packet in packets:
        watched.take(packet)
        await asyncio.sleep(0.002)
    await eventually(lambda: watched.failed, 10)
    watched.close()
    assert "the gateway's decoder failed" in watched.trouble


async def test_after_a_loss_comes_nothing_before_a_keyframe() -> None:
    packets = stream("H264", 30, 15).packets
    track = VideoTrack("H264", parse(packets[0]).payload_type, "rtsp://x", "rtsp://x", ())
    pictures: list[VideoFrame] = []
    watched = RtspStream(track, 2**20, pictures.append)
    lost = next(i for i, packet in enumerate(packets) if i > 20 and parse(packet).marker)
    for index, packet in enumerate(packets):
        if index != lost:
            watched.take(packet)
        await asyncio.sleep(0.001)
    await eventually(lambda: len(pictures) >= 16, 10)
    watched.close()
    times = [round((picture.time or 0) * 15) for picture in pictures]
    gap = next(i for i in range(1, len(times)) if times[i] != times[i - 1] + 1)
    assert times[gap] - times[0] == 15, "a keyframe is next"
