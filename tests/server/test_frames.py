"""A camera that is a websocket: sampled like any other, limited, replaced, missed when it goes."""

import asyncio
import gc
import io
import json
import math
import struct
import time
from pathlib import Path
from typing import Any

import httpx
import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from server.frames import FramesSocket
from server.server_events import FramesEvent
from tests.server.clients import picture


def message(at: float, data: bytes) -> bytes:
    return struct.pack(">d", at) + data


async def camera_of(url: str, session: str) -> dict[str, Any]:
    async with httpx.AsyncClient() as client:
        reply = await client.get(f"{url}/v1/sessions/{session}")
    camera: dict[str, Any] = reply.json()["camera"]
    return camera


async def end(url: str, session: str) -> None:
    async with httpx.AsyncClient() as client:
        assert (await client.delete(f"{url}/v1/sessions/{session}")).status_code == 204


def sending(url: str, session: str) -> Any:
    return connect(
        f"{url.replace('http', 'ws')}/v1/sessions/{session}/frames?acks=true", proxy=None
    )


async def heard(websocket: ClientConnection, kind: str) -> dict[str, Any]:
    async with asyncio.timeout(30):
        while True:
            event: dict[str, Any] = json.loads(await websocket.recv())
            msgspec.convert(event, FramesEvent)  # as docs/asyncapi.json describes it
            if event["type"] == kind:
                return event


async def test_pictures_are_sampled_by_their_times(gateway: str, worker: Any, tools: Any) -> None:
    session = tools.new_session(gateway)
    async with sending(gateway, session) as websocket:
        ready = await heard(websocket, "lookback.frames.ready")
        assert ready["limits"]["formats"] == ["image/jpeg", "image/png", "image/webp"]
        sent = 0
        for number in range(12):  # a quarter of a second between two
            kind = ("JPEG", "PNG", "WEBP")[number // 4]
            await websocket.send(message(1.7e9 + number / 4, picture(20 * number, kind)))
            if number % 4 == 0:
                sent += 1
                await tools.eventually(
                    lambda sent=sent: sum(f.session == session for f in worker.frames) == sent
                )
        camera = (await heard(websocket, "lookback.camera.updated"))["camera"]
        assert camera["state"] == "live"
        state = await camera_of(gateway, session)
    assert (state["frames_received"], state["frames_sampled"], state["frames_sent"]) == (12, 3, 3)
    frames = [f for f in worker.frames if f.session == session]
    assert [round(f.timestamp, 3) for f in frames] == [0, 1, 2]
    with Image.open(io.BytesIO(frames[1].jpeg)) as image:
        assert image.size == (96, 96) and abs(np.asarray(image).mean() - 80) < 2


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("a text", "text_message"),
        (b"", "invalid_frame"),
        (b"\x00" * 8, "invalid_frame"),
        (message(math.nan, picture(0)), "invalid_time"),
        (message(math.inf, picture(0)), "invalid_time"),
        (message(2.0, b"no picture at all"), "invalid_picture"),
        (message(2.0, picture(0, "PNG", (3000, 2000))), "picture_too_large"),
        (message(2.0, picture(0, "JPEG") + bytes(2**20)), "picture_too_large"),
        (message(2.0, picture(0, "PNG", (200, 9))), "picture_too_small"),
        (message(1.0, picture(0)), "time_not_rising"),
        (message(0.5, picture(0)), "time_not_rising"),
    ],
)
async def test_what_is_wrong_is_told_and_the_next_picture_is_taken(
    serve: Any, worker: Any, tools: Any, said: str | bytes, code: str
) -> None:
    gateway = serve(picture_bytes=2**20, picture_pixels=1_000_000)
    session = tools.new_session(gateway)
    async with sending(gateway, session) as websocket:
        await websocket.send(message(1.0, picture(0)))
        await websocket.send(said)
        error = (await heard(websocket, "error"))["error"]
        assert error["code"] == code and error["message"]
        await websocket.send(message(2.5, picture(200)))
        await tools.eventually(lambda: sum(f.session == session for f in worker.frames) == 2)
    await end(gateway, session)


async def test_a_damaged_picture_is_rejected_and_counted(
    gateway: str, worker: Any, tools: Any
) -> None:
    session = tools.new_session(gateway)
    random = np.random.default_rng(0).integers(0, 256, (90, 90, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(random).save(buffer, "PNG")
    async with tools.talking(gateway, session) as client, sending(gateway, session) as websocket:
        await websocket.send(message(1.0, buffer.getvalue()[:9000]))
        assert "damaged" in (await client.until("lookback.frame.rejected"))["message"]
        await websocket.send(message(2.0, picture(0)))
        camera = await client.until(
            "lookback.camera.updated", lambda e: e["camera"]["frames_sent"] == 1
        )
    assert camera["camera"]["frames_dropped"] == 1


async def test_more_than_the_rate_is_refused(serve: Any, tools: Any) -> None:
    gateway = serve(pictures_per_second=5)
    session = tools.new_session(gateway)
    async with sending(gateway, session) as websocket:
        for number in range(40):
            await websocket.send(message(number / 100, picture(0)))
        error = (await heard(websocket, "error"))["error"]
        assert error["code"] == "too_many_pictures"
        state = await camera_of(gateway, session)
        assert 5 <= state["frames_received"] < 20


async def test_a_later_sender_replaces_the_one_before(
    gateway: str, worker: Any, tools: Any
) -> None:
    session = tools.new_session(gateway)
    async with sending(gateway, session) as first, sending(gateway, session) as second:
        await heard(first, "lookback.frames.ready")
        await heard(second, "lookback.frames.ready")
        with pytest.raises(ConnectionClosed) as closed:
            await heard(first, "never")
        assert closed.value.rcvd is not None and closed.value.rcvd.code == 4409
        await second.send(message(5.0, picture(0)))
        await tools.eventually(lambda: any(f.session == session for f in worker.frames))
        async with tools.sending(gateway, session):  # a camera by WebRTC, in its place
            with pytest.raises(ConnectionClosed):
                await heard(second, "never")


async def test_a_sender_that_stops_is_noticed_and_one_that_goes_too(serve: Any, tools: Any) -> None:
    gateway = serve(stall_seconds=0.5)
    session = tools.new_session(gateway)
    async with tools.talking(gateway, session) as client:
        async with sending(gateway, session) as websocket:
            await websocket.send(message(0, picture(0)))
            for state in ("live", "stalled"):
                await client.until(
                    "lookback.camera.updated", lambda e, s=state: e["camera"]["state"] == s
                )
            await websocket.send(message(9, picture(0)))
            await client.until("lookback.camera.updated", lambda e: e["camera"]["state"] == "live")
        camera = await client.until(
            "lookback.camera.updated", lambda e: e["camera"]["state"] == "gone"
        )
        assert camera["camera"]["message"] == "the frames websocket has ended"


async def test_a_sender_that_reads_nothing_goes_on(gateway: str, worker: Any, tools: Any) -> None:
    session = tools.new_session(gateway)
    address = f"{gateway.replace('http', 'ws')}/v1/sessions/{session}/frames"
    async with connect(address, proxy=None) as websocket:
        for number in range(90):
            await websocket.send(message(number / 30, picture(2 * number)))
            await asyncio.sleep(1 / 30)
        said = []
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                while True:
                    said.append(json.loads(await websocket.recv()))
    assert [event["type"] for event in said] == [
        "lookback.frames.ready",
        "lookback.camera.updated",
    ]
    assert said[1]["camera"]["state"] == "live"


async def test_a_sender_alone_keeps_its_session(serve: Any, tools: Any) -> None:
    gateway = serve(orphan_seconds=0.5, idle_seconds=0.5)
    session = tools.new_session(gateway)
    async with sending(gateway, session) as websocket:
        await websocket.send(message(0, picture(0)))
        await asyncio.sleep(1.5)
        assert (await camera_of(gateway, session))["state"] == "live"
    await tools.eventually(
        lambda: httpx.get(f"{gateway}/v1/sessions/{session}").status_code == 404, 10
    )


async def test_the_end_of_the_session_ends_its_sender(gateway: str, tools: Any) -> None:
    session = tools.new_session(gateway)
    async with sending(gateway, session) as websocket:
        await heard(websocket, "lookback.frames.ready")
        await end(gateway, session)
        with pytest.raises(ConnectionClosed):
            await heard(websocket, "never")
    async with sending(gateway, session) as websocket:
        assert (await heard(websocket, "error"))["error"]["code"] == "unknown_session"
        with pytest.raises(ConnectionClosed) as closed:
            await websocket.recv()
        assert closed.value.rcvd is not None and closed.value.rcvd.code == 4404


async def test_no_message_does_any_harm(gateway: str, worker: Any, tools: Any) -> None:
    session = tools.new_session(gateway)
    whole = picture(90)

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.one_of(st.text(max_size=50), st.binary(max_size=200), st.data()))
    def collect(said: Any) -> None:
        if isinstance(said, st.DataObject):
            said = message(said.draw(st.floats()), whole[: said.draw(st.integers(0, len(whole)))])
        messages.append(said)

    messages: list[str | bytes] = []
    collect()
    async with sending(gateway, session) as websocket:
        for said in messages:
            await websocket.send(said)
            await asyncio.sleep(0.02)  # below the rate
        await websocket.close()
    async with sending(gateway, session) as websocket:
        before = len(worker.frames)
        began = time.time()
        await websocket.send(message(began, picture(10)))
        await websocket.send(message(began + 1.1, picture(240)))
        await tools.eventually(lambda: len(worker.frames) > before)


async def test_thirty_senders_that_came_and_went_leave_nothing(
    gateway: str, worker: Any, tools: Any
) -> None:
    session = tools.new_session(gateway)

    def left() -> tuple[int, int, int]:
        gc.collect()
        things = gc.get_objects()
        senders = sum(type(thing) is FramesSocket for thing in things)
        tasks = sum(type(thing) is asyncio.Task and not thing.done() for thing in things)
        return len(list(Path("/proc/self/fd").iterdir())), senders, tasks

    async def once(number: int) -> None:
        async with sending(gateway, session) as websocket:
            await websocket.send(message(number, picture(7 * number)))
            await heard(websocket, "lookback.camera.updated")
            if number % 2:
                websocket.transport.abort()  # without a word

    await once(0)
    files, senders, tasks = left()
    for number in range(30):
        await once(number)
    await tools.eventually(
        lambda: all(
            now <= then + 2 for now, then in zip(left(), (files, senders, tasks), strict=True)
        ),
        15,
    )
    assert (await camera_of(gateway, session))["state"] == "gone"
