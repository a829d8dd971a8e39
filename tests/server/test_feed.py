"""Frames are counted as what they were: sampled, skipped, sent or dropped; nothing queues."""

import asyncio
from fractions import Fraction
from typing import Any

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
