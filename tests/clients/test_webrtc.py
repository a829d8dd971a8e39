"""Cameras by WHIP: files and tracks, the goodbye, and coming back."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from lookback_client import CameraError, CameraReplaced, File, Lookback
from tests.clients.conftest import picture
from tests.server.clients import MovingPicture, eventually


async def test_a_file_is_sent_as_video_to_its_end(
    lookback: Lookback, worker: Any, clip: Path
) -> None:
    async with lookback.session() as session:
        camera = await session.publish(File(clip), webrtc=True)
        assert (await session.ask("what is it")).text == "what is it"
        await camera.wait()
        assert camera.state == "ended"
        state = (await session.state())["camera"]
    assert state["state"] == "gone" and state["message"] == "its sender ended it"
    assert state["frames_received"] > 10


async def test_a_track_is_sent_until_it_is_stopped(lookback: Lookback) -> None:
    track = MovingPicture(20, (160, 120))
    async with lookback.session() as session:
        camera = await session.publish(track)
        assert (await session.ask("what is it")).text == "what is it"
        # The connection breaks: the same track goes on by the next one.
        peer = camera._peer  # type: ignore[attr-defined]
        await peer.close()
        await eventually(lambda: camera.state == "live" and camera._peer is not peer)  # type: ignore[attr-defined]
        received = (await session.state())["camera"]["frames_received"]
        await eventually(lambda: (session.camera or {}).get("frames_received", 0) > received + 5)
        async with lookback.join(session.id) as other:
            await other.publish(picture(number) for number in range(99))
            with pytest.raises(CameraReplaced):
                await asyncio.wait_for(camera.wait(), 30)
    assert track.readyState == "live"  # it is its maker's
    track.stop()


async def test_what_breaks_off_is_told(lookback: Lookback) -> None:
    def pictures() -> Any:
        yield picture(0)
        yield picture(1)
        raise OSError("unplugged")

    async with lookback.session() as session:
        camera = await session.publish(pictures(), webrtc=True, per_second=5)
        with pytest.raises(CameraError, match="unplugged"):
            await asyncio.wait_for(camera.wait(), 20)
