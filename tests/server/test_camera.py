"""A camera connects by WebRTC, is watched over, and its frames reach the worker and no queue."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import cv2
import httpx
import numpy as np
import pytest

from broker.connection import connect
from messages import keys
from tests.server.fuzzing import Held


def _of(worker: Any, session: str) -> list[Any]:
    return [frame for frame in list(worker.frames) if frame.session == session]


async def test_frames_are_sampled_resized_and_timed(gateway: str, worker: Any, tools: Any) -> None:
    session = tools.new_session(gateway)
    async with tools.sending(gateway, session, fps=20, size=(320, 180)):
        frames = await tools.eventually(
            lambda: len(_of(worker, session)) > 4 and _of(worker, session)
        )
    assert [frame.number for frame in frames[:5]] == [0, 1, 2, 3, 4]
    assert frames[0].timestamp == 0
    gaps = np.diff([frame.timestamp for frame in frames])
    assert gaps.min() > 0.8 and np.median(gaps) < 1.6
    ages = [time.time() - frame.captured_at for frame in frames]
    assert min(ages) >= 0 and max(ages) < 20
    picture = cv2.imdecode(np.frombuffer(frames[0].jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape == (96, 96, 3)
    assert np.ptp(picture) < 12  # one grey, as it was sent


async def test_the_rate_is_a_setting(serve: Callable[..., str], worker: Any, tools: Any) -> None:
    url = serve(fps=5)
    session = tools.new_session(url)
    async with tools.sending(url, session, fps=20):
        frames = await tools.eventually(
            lambda: len(_of(worker, session)) > 9 and _of(worker, session)
        )
    assert 0.15 < np.median(np.diff([frame.timestamp for frame in frames])) < 0.3


async def test_the_camera_connects_goes_live_and_goes(gateway: str, tools: Any) -> None:
    session = tools.new_session(gateway)

    def is_in(state: str) -> Callable[[Any], bool]:
        return lambda event: event["camera"]["state"] == state

    async with tools.talking(gateway, session) as client:
        async with tools.sending(gateway, session):
            await client.until("lookback.camera.updated", is_in("connecting"))
            await client.until("lookback.camera.updated", is_in("live"))
            await client.until("lookback.camera.updated", lambda e: e["camera"]["frames_sent"] > 0)
        gone = await client.until("lookback.camera.updated", is_in("gone"))
    camera = gone["camera"]
    assert camera["message"]
    assert camera["frames_received"] >= camera["frames_sampled"] >= camera["frames_sent"] > 0


async def test_a_still_picture_is_sent_seldom_but_never_forgotten(
    serve: Callable[..., str], worker: Any, tools: Any
) -> None:
    url = serve(fps=10, keep_every_seconds=1.5)
    session = tools.new_session(url)
    async with tools.sending(url, session, fps=20) as track:
        track.still = True
        await tools.eventually(lambda: len(_of(worker, session)) >= 4)
        state = (await asyncio.to_thread(httpx.get, f"{url}/v1/sessions/{session}")).json()
    camera = state["camera"]
    assert camera["state"] == "live"
    assert camera["frames_skipped"] > camera["frames_sent"]
    gaps = np.diff([frame.timestamp for frame in _of(worker, session)])
    assert np.median(gaps) > 1.3


async def test_a_slow_worker_finds_a_short_ring_and_can_count_its_losses(
    serve: Callable[..., str], worker: Any, broker_url: str, tools: Any
) -> None:
    url = serve(fps=20, keep_every_seconds=0)
    session = tools.new_session(url)
    worker.watching = False
    broker = connect(broker_url)
    async with tools.talking(url, session) as client, tools.sending(url, session, fps=20):
        counted = await client.until(
            "lookback.camera.updated", lambda e: e["camera"]["frames_sent"] > 3 * keys.RING
        )
        assert broker.xlen(keys.frames(session)) == keys.RING
        assert counted["camera"]["frames_received"] > 3 * keys.RING
        worker.watching = True
        memory = (await client.until("lookback.memory.updated"))["memory"]
    broker.close()
    assert memory["frames_dropped"] >= 2 * keys.RING


async def test_another_camera_replaces_the_first_and_time_goes_on(
    gateway: str, worker: Any, tools: Any
) -> None:
    session = tools.new_session(gateway)
    async with tools.talking(gateway, session) as client:
        async with tools.sending(gateway, session):
            await tools.eventually(lambda: len(_of(worker, session)) > 1)
            async with tools.sending(gateway, session, size=(90, 160)):
                before = len(_of(worker, session))
                await tools.eventually(lambda: len(_of(worker, session)) > before + 1)
                await client.until("lookback.camera.updated")
        await client.until("lookback.camera.updated", lambda e: e["camera"]["state"] == "gone")
    states = [e["camera"]["state"] for e in client.events if e["type"].endswith("camera.updated")]
    assert states.count("gone") == 1
    times = [frame.timestamp for frame in _of(worker, session)]
    assert times == sorted(set(times))


async def test_a_picture_too_small_to_show_anything_is_rejected_in_words(
    gateway: str, worker: Any, tools: Any
) -> None:
    session = tools.new_session(gateway)
    async with tools.talking(gateway, session) as client:
        async with tools.sending(gateway, session, size=(8, 8)):
            rejected = await client.until("lookback.frame.rejected")
            assert "8×8" in rejected["message"] and "16 pixels" in rejected["message"]
        async with tools.sending(gateway, session):
            await client.until("lookback.memory.updated")
    assert all(frame.dropped >= 1 for frame in _of(worker, session))


async def test_a_machine_without_a_network_connects_over_loopback(
    gateway: str, worker: Any, tools: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.gathering._all_addresses", lambda use_ipv4, use_ipv6: [])
    session = tools.new_session(gateway)
    async with tools.sending(gateway, session):
        await tools.eventually(lambda: _of(worker, session))


async def test_a_camera_that_comes_late_and_alone_is_given_time(
    serve: Callable[..., str], worker: Any, tools: Any
) -> None:
    url = serve(orphan_seconds=2)
    session = tools.new_session(url)
    await asyncio.sleep(3)
    async with tools.sending(url, session):
        await tools.eventually(lambda: _of(worker, session))


async def test_thirty_cameras_that_came_and_went_leave_nothing(
    serve: Callable[..., str], worker: Any, tools: Any
) -> None:
    gateway = serve(fps=30)
    session = tools.new_session(gateway)
    kept = tools.new_session(gateway)

    async def once(session: str) -> None:
        before = len(_of(worker, session))
        async with tools.sending(gateway, session):
            await tools.eventually(lambda: len(_of(worker, session)) > before)

    async with tools.talking(gateway, session), tools.talking(gateway, kept):
        for _ in range(3):
            await once(session)
        before = Held.now()
        for _ in range(27):
            await once(session)
        await once(kept)  # the last camera of a session stays known

        def settled() -> bool:
            now = Held.now()
            more = Held(4, 6, 8, 24)
            return all(a <= b + c for a, b, c in zip(now, before, more, strict=True))

        await tools.eventually(settled, 15)
