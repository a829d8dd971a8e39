"""The newest picture of a source, and never a queue."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from lookback_client import CameraError, File, Frame
from lookback_client.pump import Pump, TaskPump, ThreadPump
from lookback_client.sources import Pulled


async def all_of(pump: Pump, pause: float = 0.0) -> list[Any]:
    """The pictures that a consumer gets that needs so long for each."""
    got = []
    while (frame := await pump.newest()) is not None:
        got.append(frame.picture)
        await asyncio.sleep(pause)
    return got


async def test_a_plain_iterator_is_asked_when_a_picture_is_due() -> None:
    asked: list[float] = []

    def pictures() -> Iterator[bytes]:
        for number in range(4):
            asked.append(time.monotonic())
            yield bytes([number])

    pump = ThreadPump(Pulled(pictures()))
    await pump.open()
    assert not asked
    pump.go(10)
    assert await all_of(pump) == [b"\0", b"\1", b"\2", b"\3"]
    assert asked[-1] - asked[0] > 0.27  # a busy machine may be late, and is not early
    await pump.close()


async def test_a_slow_consumer_gets_the_newest_of_an_asynchronous_iterator() -> None:
    async def pictures() -> AsyncIterator[Frame]:
        for number in range(1000):
            yield Frame(number.to_bytes(2, "big"), number / 100)
            await asyncio.sleep(0.0005)

    pump = TaskPump(pictures())
    await pump.open()
    pump.go(50)
    got = [int.from_bytes(picture, "big") for picture in await all_of(pump, 0.1)]
    assert got == sorted(got) and 2 <= len(got) < 100
    assert got[-1] == 998  # 50 of the 100 a second are due


async def test_one_that_never_waits_lets_others_live() -> None:
    async def pictures() -> AsyncIterator[bytes]:
        while True:
            yield b"x"

    pump = TaskPump(pictures())
    pump.go(1)
    assert await pump.newest() is not None
    await asyncio.wait_for(pump.close(), 5)


async def test_a_file_keeps_its_pace_and_its_times_and_may_begin_again(clip: Path) -> None:
    pump = ThreadPump(File(clip))
    await pump.open()
    began = time.monotonic()
    pump.go(5)
    frames = []
    while (frame := await pump.newest()) is not None:
        frames.append(frame.time)
    assert time.monotonic() - began >= 1.7
    assert frames == pytest.approx([number / 5 for number in range(10)], abs=0.01)
    times = (frame.time for frame in File(clip, loop=True).open())
    looped = [next(times) for _ in range(45)]
    assert looped == pytest.approx([number / 10 for number in range(45)], abs=0.01)


async def test_what_breaks_off_says_why() -> None:
    def pictures() -> Iterator[bytes]:
        yield b"x"
        raise OSError("unplugged")

    pump = ThreadPump(Pulled(pictures()))
    await pump.open()
    pump.go(50)
    assert await pump.newest() is not None
    with pytest.raises(CameraError, match="unplugged") as broken:
        await pump.newest()
    assert isinstance(broken.value.__cause__, OSError)
    await pump.close()


async def test_a_source_is_closed_when_nobody_wants_it_any_more() -> None:
    closed = threading.Event()

    def pictures() -> Iterator[bytes]:
        try:
            while True:
                yield b"x"
        finally:
            closed.set()

    pump = ThreadPump(Pulled(pictures()))
    await pump.open()
    pump.go(50)
    assert await pump.newest() is not None
    await pump.close()
    await asyncio.to_thread(closed.wait, 5)
    assert closed.is_set()
    await pump.close()
    unread = ThreadPump(Pulled(pictures()))
    await unread.open()
    await unread.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "camera"]
