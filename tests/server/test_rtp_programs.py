"""Real programs send RTP: ffmpeg and GStreamer, by the commands in the documentation."""

import asyncio
import shutil
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import httpx
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.server.rtp_commands import BLOCKS, documented, running
from tests.server.rtp_relay import Relay
from tests.server.rtp_stream import picture

SIZE = (320, 240)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four seconds, each picture another one; a keyframe twice a second."""
    path = tmp_path_factory.mktemp("rtp") / "clip.mp4"
    options = {"preset": "ultrafast", "tune": "zerolatency", "g": "8", "crf": "30"}
    with av.open(str(path), "w") as output:
        video = output.add_stream("libx264", rate=15, options=options)
        video.width, video.height, video.pix_fmt = *SIZE, "yuv420p"
        video.codec_context.thread_count = 1
        for number in range(60):
            frame = av.VideoFrame.from_ndarray(picture(number, SIZE), "rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 15)
            output.mux(video.encode(frame))
        output.mux(video.encode())
    return path


def _camera(url: str, session: str) -> dict[str, Any]:
    camera: dict[str, Any] = httpx.get(f"{url}/v1/sessions/{session}").json()["camera"]
    return camera


def _seen(worker: Any, session: str) -> list[Any]:
    return [frame for frame in list(worker.frames) if frame.session == session]


@pytest.mark.parametrize("block", BLOCKS, ids=["ffmpeg", "gstreamer", "ffmpeg-vp8"])
async def test_the_documented_commands_work(
    serve: Callable[..., str],
    worker: Any,
    tools: Any,
    tmp_path: Path,
    clip: Path,
    block: str,
) -> None:
    assert block.count("\n") <= 5
    url = serve(fps=5)
    session = tools.new_session(url)
    shutil.copy(clip, tmp_path / "clip.mp4")
    with running(documented(block, url, session), tmp_path) as process:
        await tools.eventually(lambda: len(_seen(worker, session)) > 3, 30)
        camera = await asyncio.to_thread(_camera, url, session)
        assert camera["state"] == "live" and camera["message"] == ""
        if block is BLOCKS[0]:  # the file ends, and says goodbye
            assert await asyncio.to_thread(process.wait, 20) == 0
            await tools.eventually(lambda: _camera(url, session)["state"] == "gone", 5)
            camera = await asyncio.to_thread(_camera, url, session)
            assert "goodbye" in camera["message"] and camera["frames_received"] > 50


def _shown(jpeg: bytes) -> NDArray[np.uint8]:
    found = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert found is not None
    return np.asarray(found, np.uint8)


async def test_nothing_is_smeared_on_a_bad_way(
    serve: Callable[..., str], worker: Any, tools: Any, tmp_path: Path, clip: Path
) -> None:
    """ffmpeg, and a relay that loses 5 % and lets packets overtake one another."""
    url = serve(fps=15, keep_every_seconds=0)
    session = tools.new_session(url)
    asked = httpx.AsyncClient(base_url=f"{url}/v1/sessions/{session}")
    opened = (await asked.post("/rtp")).json()
    with Relay(opened["port"], seed=5) as relay:
        command = f"ffmpeg -re -i {clip} -an -c:v copy -bsf:v h264_mp4toannexb -f rtp"
        to = f"rtp://127.0.0.1:{relay.port}?pkt_size=800"
        with running([*command.split(), to], tmp_path) as process:
            assert await asyncio.to_thread(process.wait, 30) == 0
    counters = (await asked.get(f"/rtp/{opened['id']}")).json()["counters"]
    await asked.aclose()
    assert relay.lost > 5 and relay.overtaken > 10
    assert counters["packets_lost"] > 5 and counters["frames_broken"] > 3
    with av.open(str(clip)) as file:
        clean = [frame.to_ndarray(format="gray") for frame in file.decode(video=0)]
    small = [cv2.resize(frame, (96, 96), interpolation=cv2.INTER_AREA) for frame in clean]
    frames = _seen(worker, session)
    assert len(frames) > 10
    for frame in frames:
        shown = cv2.blur(_shown(frame.jpeg), (5, 5)).astype(int)
        worst = min(np.abs(shown - cv2.blur(one, (5, 5))).max() for one in small)
        assert worst < 6


async def test_a_sender_is_killed_and_started_again(
    serve: Callable[..., str], worker: Any, tools: Any, tmp_path: Path, clip: Path
) -> None:
    url = serve(fps=15, keep_every_seconds=0, stall_seconds=1)
    session = tools.new_session(url)
    reply = await asyncio.to_thread(httpx.post, f"{url}/v1/sessions/{session}/rtp")
    to = f"rtp://127.0.0.1:{reply.json()['port']}"
    command = f"ffmpeg -re -i {clip} -an -c:v libx264 -tune zerolatency -g 15 -f rtp {to}".split()
    for _ in range(2):
        before = len(_seen(worker, session))
        with running(command, tmp_path):
            await tools.eventually(lambda: len(_seen(worker, session)) > before + 3, 20)  # noqa: B023
        await tools.eventually(lambda: _camera(url, session)["state"] == "stalled", 5)
    times = [frame.timestamp for frame in _seen(worker, session)]
    assert times == sorted(times)
