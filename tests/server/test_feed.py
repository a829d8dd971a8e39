"""Frames are counted as what they were: sampled, skipped, sent or dropped; nothing queues."""

import asyncio
import time
from fractions import Fraction
from typing import Any

import cv2
import numpy as np
from av import VideoFrame

from broker.connection import connect_async
from messages import keys
from messages.codec import decode_frame
from server.feed import FrameFeed
from server.settings import GatewaySettings
from server.tasks import stop


def _frame(seconds: float, level: int) -> VideoFrame:
    frame = VideoFrame.from_ndarray(np.full((48, 64, 3), level, np.uint8), "rgb24")
    frame.pts, frame.time_base = int(seconds * 90000), Fraction(1, 90000)
    return frame


def _feed(broker: Any, session: str, **settings: Any) -> FrameFeed:
    told = GatewaySettings(broker_url="unix:///unused", **settings)
    return FrameFeed(session, told, broker, (32, 32), 1, lambda message: None)


async def test_a_frame_that_is_overtaken_is_dropped_and_one_not_sampled_is_not(
    broker_url: str, tools: Any
) -> None:
    broker = await connect_async(broker_url)
    feed = _feed(broker, "overtaken")
    # Nobody hands on yet, so each sampled frame pushes the one before it out of the slot.
    for number in range(41):
        feed.offer(_frame(number / 10, number * 5))
    assert feed.counted() == {
        "frames_received": 41,
        "frames_sampled": 5,
        "frames_skipped": 0,
        "frames_sent": 0,
        "frames_dropped": 4,
    }
    task = asyncio.create_task(feed.run())
    await tools.eventually(lambda: feed.counters.frames_sent == 1)
    await stop(task)
    [(_, fields)] = await broker.xrange(keys.frames("overtaken"))
    frame = decode_frame(fields[keys.FIELD])
    assert (frame.number, frame.dropped) == (0, 4)
    assert 3.8 < frame.timestamp <= 4.0
    await broker.aclose()


async def test_the_ring_is_short_and_the_numbers_have_no_gaps(broker_url: str, tools: Any) -> None:
    broker = await connect_async(broker_url)
    feed = _feed(broker, "ring")
    task = asyncio.create_task(feed.run())
    for number in range(12):
        feed.offer(_frame(number, number * 20))
        await tools.eventually(lambda sent=number + 1: feed.counters.frames_sent == sent)
    await stop(task)
    entries = await broker.xrange(keys.frames("ring"))
    frames = [decode_frame(fields[keys.FIELD]) for _, fields in entries]
    assert [frame.number for frame in frames] == [8, 9, 10, 11]
    assert [frame.timestamp for frame in frames] == [8, 9, 10, 11]
    assert 0 < await broker.ttl(keys.frames("ring")) <= 60
    await broker.aclose()


async def test_near_duplicates_are_skipped_and_not_called_dropped(
    broker_url: str, tools: Any
) -> None:
    broker = await connect_async(broker_url)
    feed = _feed(broker, "still", keep_every_seconds=4.0)
    counters = feed.counters
    task = asyncio.create_task(feed.run())
    for number in range(9):
        feed.offer(_frame(number, 77))
        await tools.eventually(
            lambda done=number + 1: counters.frames_sent + counters.frames_skipped == done
        )
    await stop(task)
    assert (counters.frames_sent, counters.frames_skipped) == (3, 6)
    assert counters.frames_dropped == 0
    await broker.aclose()


async def test_the_newest_frame_stands_until_there_is_another(broker_url: str, tools: Any) -> None:
    broker = await connect_async(broker_url)
    feed = _feed(broker, "stays", fps=10, keep_every_seconds=0.5)
    feed.stay()  # nothing is shown yet
    task = asyncio.create_task(feed.run())
    feed.offer(_frame(0, 50))
    await tools.eventually(lambda: feed.counters.frames_sent == 1)
    assert feed.offer(_frame(0.04, 200))  # too early to be sampled
    began = time.monotonic()
    while time.monotonic() - began < 1.5:
        feed.stay()
        await asyncio.sleep(0.05)
    still = feed.counters.frames_sent
    await asyncio.sleep(0.15)  # its time has come
    feed.offer(_frame(1.6, 120))
    await tools.eventually(lambda: feed.counters.frames_sent > still)
    feed.new_track()
    feed.stay()  # it was another camera's
    await stop(task)
    assert feed.counters.frames_received == 3 and feed.counters.frames_skipped > 5
    frames = [
        decode_frame(fields[keys.FIELD]) for _, fields in await broker.xrange(keys.frames("stays"))
    ]
    assert [frame.number for frame in frames][-1] == still and still in (3, 4)
    greys = [int(cv2.imdecode(np.frombuffer(f.jpeg, np.uint8), 0).mean()) for f in frames]
    assert all(abs(grey - 200) < 6 for grey in greys[1:-1]) and abs(greys[-1] - 120) < 6
    times = [frame.timestamp for frame in frames]
    assert times == sorted(times) and all(0.4 < gap < 0.8 for gap in np.diff(times)[1:-1])
    await broker.aclose()
