"""A clip as a camera keeps its file's pace and times."""

import asyncio
from pathlib import Path

import pytest
from aiortc.mediastreams import MediaStreamError

from lookback.live import ClipTrack, LiveError, LiveSession


async def test_pictures_come_at_the_pace_of_the_file(clip: Path) -> None:
    track, loop = ClipTrack(clip), asyncio.get_running_loop()
    assert track.seconds == 0.0
    first = await track.recv()
    began = loop.time()
    for _ in range(10):
        frame = await track.recv()
    assert frame.time - first.time == pytest.approx(1.0, abs=0.01)
    assert loop.time() - began >= 0.9
    await track.reached(1.2)
    assert track.seconds >= 1.2


async def test_the_end_of_the_file_is_the_end_of_the_track(clip: Path) -> None:
    track = ClipTrack(clip)
    track._began_at = float("-inf")
    with pytest.raises(MediaStreamError):
        for _ in range(100):
            await track.recv()
            track._began_at = float("-inf")  # no need to wait for the pace here
    assert track.readyState == "ended"


async def test_a_service_that_is_not_there_is_an_error(clip: Path) -> None:
    with pytest.raises(LiveError, match=r"http://127\.0\.0\.1:9"):
        async with LiveSession("http://127.0.0.1:9", ClipTrack(clip)):
            pass
