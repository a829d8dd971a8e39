"""Senders of every kind: still, vanishing, slow, fast, huge, turning, loud."""

import asyncio
import contextlib
import gc
import os
import sys
import time
from collections.abc import AsyncIterator, Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import httpx
import msgspec
import numpy as np
import pytest
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import AudioStreamTrack
from aiortc.rtcrtpreceiver import RemoteStreamTrack
from av import VideoFrame

from broker.connection import connect_async
from server.camera import Camera
from server.feed import FrameFeed
from server.settings import GatewaySettings
from server.tasks import stop
from tests.server.mutations import OFFERS

ROOT = Path(__file__).parent.parent.parent


def _of(worker: Any, session: str) -> list[Any]:
    return [frame for frame in list(worker.frames) if frame.session == session]


def _pixels(frame: Any) -> Any:
    return cv2.imdecode(np.frombuffer(frame.jpeg, np.uint8), cv2.IMREAD_COLOR)


def _grey(frame: Any) -> float:
    return float(_pixels(frame).mean())


async def _camera(url: str, session: str) -> dict[str, Any]:
    reply = await asyncio.to_thread(httpx.get, f"{url}/v1/sessions/{session}")
    camera: dict[str, Any] = reply.json()["camera"]
    return camera


@contextlib.asynccontextmanager
async def _process(*arguments: object) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.server.aiortc_sender",
        *map(str, arguments),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"connected\n"
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_a_sender_that_vanishes_is_noticed_within_five_seconds(
    gateway: str, tools: Any
) -> None:
    session = tools.new_session(gateway)
    async with (
        tools.talking(gateway, session) as client,
        _process(gateway, session, 20, 160, 120) as sender,
    ):
        await client.until("lookback.camera.updated", lambda e: e["camera"]["state"] == "live")
        sender.kill()
        killed = time.monotonic()
        await client.until("lookback.camera.updated", lambda e: e["camera"]["state"] == "stalled")
        assert 2 < time.monotonic() - killed < 5


async def test_what_a_still_camera_shows_stays_the_present(
    serve: Callable[..., str], worker: Any, tools: Any
) -> None:
    """aiortc's sender goes on reporting, as a browser does that shares a screen."""
    # At 1 s, one that is sampled a little early would be skipped, and the next gap be 2 s.
    url = serve(stall_seconds=3, keep_every_seconds=0.5)
    session = tools.new_session(url)
    async with tools.sending(url, session) as track:
        await tools.eventually(lambda: len(_of(worker, session)) > 1)
        track.going.clear()
        stilled = time.time()
        await asyncio.sleep(6)
        camera = await _camera(url, session)
        track.going.set()
        count = len(_of(worker, session))
        await tools.eventually(lambda: len(_of(worker, session)) > count + 1)
    assert camera["state"] == "live"
    frames = _of(worker, session)
    times = [frame.timestamp for frame in frames]
    assert times == sorted(set(times)) and max(np.diff(times)) < 2.5
    [last] = [grey for at, grey in track.shown if at < stilled][-1:]
    still = [frame for frame in frames if stilled + 1.5 < frame.captured_at < stilled + 6]
    assert len(still) >= 2  # the newest frame, though its time had not come when it did
    assert all(abs(_grey(frame) - last) < 4 for frame in still)


@pytest.mark.parametrize("codec", ["video/VP8", "video/H264"])
async def test_a_stream_that_changes_its_size_goes_on(
    serve: Callable[..., str], worker: Any, tools: Any, codec: str
) -> None:
    worker.card = msgspec.structs.replace(worker.card, frame_size=None, max_pixels=10**6)
    await asyncio.sleep(0.5)  # until the card is shown
    url = serve(fps=10)
    session = tools.new_session(url)
    async with tools.sending(url, session, size=(640, 480), codec=codec) as track:
        for size in ((640, 480), (320, 240), (240, 320), (640, 480)):
            track.size = size
            before = len(_of(worker, session))
            await tools.eventually(
                lambda size=size, before=before: any(
                    _pixels(frame).shape == (size[1], size[0], 3)
                    for frame in _of(worker, session)[before:]
                )
            )
        assert (await _camera(url, session))["state"] == "live"
    times = [frame.timestamp for frame in _of(worker, session)]
    assert times == sorted(set(times))


async def test_a_frame_of_a_slow_camera_does_not_wait_for_the_next(
    gateway: str, worker: Any, tools: Any
) -> None:
    session = tools.new_session(gateway)
    async with tools.sending(gateway, session, fps=1) as track:
        await tools.eventually(lambda: len(_of(worker, session)) > 3)
        assert (await _camera(gateway, session))["state"] == "live"
    late = []
    for frame in _of(worker, session):
        at, _ = min(track.shown, key=lambda shown: abs(shown[1] - _grey(frame)))
        late.append(frame.captured_at - at)
    assert np.median(late) < 0.6


async def test_a_fast_camera_is_sampled_as_any_other(gateway: str, worker: Any, tools: Any) -> None:
    session = tools.new_session(gateway)
    async with tools.sending(gateway, session, fps=60):
        await tools.eventually(lambda: len(_of(worker, session)) > 3)
        camera = await _camera(gateway, session)
    assert camera["frames_received"] > 20 * camera["frames_sampled"] / 2
    assert np.median(np.diff([frame.timestamp for frame in _of(worker, session)])) > 0.8


def _resident() -> float:
    """MiB that this process takes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


async def test_4k_frames_do_not_fill_the_memory(broker_url: str) -> None:
    broker = await connect_async(broker_url)
    settings = GatewaySettings(broker_url=broker_url, fps=10)
    feed = FrameFeed("large", settings, broker, (384, 384), 1, lambda message: None)
    task = asyncio.create_task(feed.run())
    resident = []
    for number in range(80):
        frame = VideoFrame(3840, 2160, "yuv420p")
        for plane in frame.planes:
            plane.update(np.full(plane.buffer_size, number, np.uint8))
        frame.pts, frame.time_base = number * 3000, Fraction(1, 90000)
        feed.offer(frame)
        await asyncio.sleep(0.01)
        resident.append(_resident())
    await stop(task)
    await broker.aclose()
    assert feed.counters.frames_sent > 3
    assert max(resident[40:]) < max(resident[10:40]) + 24  # two frames


async def test_sound_that_comes_all_the_same_is_not_kept(
    gateway: str, worker: Any, tools: Any
) -> None:
    session = tools.new_session(gateway)
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    peer.addTransceiver(AudioStreamTrack(), direction="sendonly")
    peer.addTransceiver(tools.MovingPicture(20, (160, 120)), direction="sendonly")
    await peer.setLocalDescription(await peer.createOffer())
    offer = {"sdp": peer.localDescription.sdp, "type": "offer"}
    address = f"{gateway}/v1/sessions/{session}/offer"
    answer = (await asyncio.to_thread(httpx.post, address, json=offer)).json()["sdp"]
    assert "a=inactive" in answer
    wanted = answer.replace("a=inactive", "a=recvonly")  # it does not listen to us
    await peer.setRemoteDescription(RTCSessionDescription(wanted, "answer"))
    await tools.eventually(lambda: len(_of(worker, session)) > 2)
    sent = await peer.getTransceivers()[0].sender.getStats()
    assert any(getattr(one, "packetsSent", 0) > 50 for one in sent.values())
    tracks = [it for it in gc.get_objects() if type(it) is RemoteStreamTrack]
    assert {track.kind for track in tracks} == {"audio", "video"}
    assert all(track._queue.qsize() < 4 for track in tracks)
    await peer.close()


@pytest.mark.parametrize("name", sorted(OFFERS))
async def test_senders_turn_the_picture_themselves(name: str) -> None:
    """Phones do so unless the answer takes up CVO (3GPP TS 26.114, section 7.4.5)."""
    offer = OFFERS[name].rstrip()
    if "video-orientation" not in offer:
        offer += "\r\na=extmap:13 urn:3gpp:video-orientation"
    settings = GatewaySettings()
    feed = FrameFeed("none", settings, None, (96, 96), 1, lambda message: None)
    camera = Camera(feed, settings, lambda: None)
    answer = await camera.answer(offer + "\r\n")
    await camera.close()
    assert "a=extmap:" in answer or "a=extmap:" not in OFFERS[name]
    assert "video-orientation" not in answer
