"""A camera by websocket: its pictures arrive, it goes on after a cut, and says why it ended."""

import asyncio
import io
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lookback_client import CameraError, CameraReplaced, File, Lookback, SessionLost
from tests.clients.conftest import picture
from tests.clients.proxy import proxied
from tests.server.clients import eventually


def endless() -> Iterator[Any]:
    number = 0
    while True:
        number += 1
        yield picture(number)


async def test_arrays_arrive_as_often_as_the_gateway_samples(serve: Any, worker: Any) -> None:
    url = serve(fps=10.0)
    pixels = np.kron(picture(0)[::8, ::8], np.ones((8, 8, 1), np.uint8))

    def pictures() -> Iterator[Any]:
        for number in range(5):
            yield np.roll(pixels, 8 * number, axis=1)

    async with Lookback(url) as lookback, lookback.session() as session:
        camera = await session.publish(pictures())
        await camera.wait()
        assert (camera.state, camera.frames_sent, camera.error) == ("ended", 5, None)
        frames = await eventually(lambda: len(worker.frames) >= 4 and worker.frames)
    seen = np.asarray(Image.open(io.BytesIO(frames[0].jpeg)).resize((96, 64))).astype(int)
    assert np.abs(seen - pixels).mean() < 20
    assert frames[1].timestamp - frames[0].timestamp == pytest.approx(0.1, abs=0.08)


async def test_files_and_asynchronous_iterators_are_cameras_too(
    lookback: Lookback, clip: Path
) -> None:
    async def encoded() -> AsyncIterator[bytes]:
        for number in range(3):
            file = io.BytesIO()
            Image.fromarray(picture(number)).save(file, "PNG")
            yield file.getvalue()
            await asyncio.sleep(0.05)

    async with lookback.session() as session:
        async with await session.publish(encoded(), per_second=50) as camera:
            await camera.wait()
        assert camera.frames_sent == 3
        async with await session.publish(File(clip)) as camera:
            await camera.wait()
        assert camera.frames_sent == 2  # one a second
        assert session.camera is not None and session.camera["frames_received"] == 5


async def test_it_goes_on_after_a_cut(gateway: str, worker: Any) -> None:
    async with Lookback(gateway) as direct, direct.session() as session, proxied(gateway) as proxy:
        async with Lookback(proxy.url) as lookback, lookback.join(session.id) as sending:
            camera = await sending.publish(endless(), per_second=20)
            await eventually(lambda: camera.frames_sent > 3)
            proxy.refusing = True
            proxy.cut()
            await eventually(lambda: camera.state == "reconnecting")
            proxy.refusing = False
            await eventually(lambda: camera.state == "live")
            sent = camera.frames_sent
            await eventually(lambda: camera.frames_sent > sent + 3)
            await eventually(lambda: session.camera and session.camera["state"] == "live")
        assert camera.state == "ended"
        await eventually(lambda: session.camera and session.camera["state"] == "gone")


async def test_a_stuck_network_makes_no_queue(gateway: str) -> None:
    """Pictures of 0.4 MB into a connection that takes nothing any more."""
    made = 0

    async def pictures() -> AsyncIterator[bytes]:
        nonlocal made
        while True:
            made += 1
            yield b"\xff\xd8\xff" + bytes(400_000)
            await asyncio.sleep(0.002)

    async with (
        Lookback(gateway) as direct,
        direct.session() as session,
        proxied(gateway) as proxy,
        Lookback(proxy.url) as lookback,
        lookback.join(session.id) as sending,
    ):
        camera = await sending.publish(pictures(), per_second=1000)
        proxy.flowing.clear()
        await eventually(lambda: made > 300)
        assert camera.frames_sent < 100
        proxy.cut()


async def test_who_is_replaced_is_told_and_does_not_come_back(lookback: Lookback) -> None:
    async with lookback.session() as session, lookback.join(session.id) as other:
        first = await session.publish(endless(), per_second=20)
        second = await other.publish(endless(), per_second=20)
        with pytest.raises(CameraReplaced):
            await first.wait()
        assert (first.state, second.state) == ("failed", "live")
        # One's own next camera is no surprise.
        third = await other.publish(endless(), per_second=20)
        await second.wait()
        assert (second.state, third.state) == ("ended", "live")


async def test_a_camera_hears_that_its_session_is_lost(lookback: Lookback) -> None:
    async with lookback.session(keep=True) as session:
        camera = await session.publish(endless(), per_second=20)
        await session.delete()
        with pytest.raises(SessionLost):
            await camera.wait()
        with pytest.raises(SessionLost):
            await session.publish(endless())


async def test_what_is_no_picture_is_named(lookback: Lookback) -> None:
    async with lookback.session() as session:
        for wrong in (np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), "a.jpg"):
            camera = await session.publish(iter([wrong]))  # type: ignore[list-item]
            with pytest.raises(CameraError, match="RGB array"):
                await camera.wait()
            with pytest.raises(CameraError, match="RGB array"):
                await session.ask("what is it?")
        for wrong in (picture(0), b"a file", "a.mp4", 3):
            with pytest.raises(TypeError, match="A camera is"):
                await session.publish(wrong)  # type: ignore[arg-type]
        with pytest.raises(CameraError, match="no file"):
            await session.publish(File("nowhere.mp4"))


async def test_a_refused_picture_is_said_and_the_rest_goes_on(
    lookback: Lookback, caplog: pytest.LogCaptureFixture
) -> None:
    async with lookback.session() as session:
        camera = await session.publish(iter([b"nonsense", picture(0)]), per_second=5)
        await camera.wait()
        await eventually(lambda: session.memory and session.memory["frames_seen"] == 1)
    assert "A picture was refused" in caplog.text
