"""GStreamer as the IP camera, and the gateway as a process of its own that says nothing secret."""

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from broker.embedded import dies_with
from tests.server.programs import gstreamer_camera

PASSWORD = "hush:77@31/é"
QUOTED = "hush%3A77%4031%2F%C3%A9"
ROOT = Path(__file__).parent.parent.parent


class Process:
    """A gateway at its most talkative; `said` is all of its output."""

    def __init__(self, broker_url: str) -> None:
        settings = {
            "LOOKBACK_BROKER_URL": broker_url, "LOOKBACK_PORT": "0", "LOOKBACK_LOG_LEVEL": "debug",
            "LOOKBACK_RTSP_HOSTS": "127.0.0.1:*", "LOOKBACK_STALL_SECONDS": "2",
        }  # fmt: skip
        self.process = subprocess.Popen(
            [sys.executable, "-m", "lookback", "gateway"],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT,
            env=dict(os.environ) | settings,
            preexec_fn=dies_with(os.getpid()),
        )  # fmt: skip
        self.lines: list[str] = []
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        self.lines.extend(iter(self.process.stdout.readline, ""))

    @property
    def said(self) -> str:
        return "".join(self.lines)

    def url(self) -> str:
        deadline = time.monotonic() + 60
        while not (found := re.search(r"listening on (http://\S+)", self.said)):
            assert time.monotonic() < deadline and self.process.poll() is None, self.said
            time.sleep(0.05)
        return found[1]

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(30)
        self._reading.join(10)


@pytest.fixture
def talkative(broker_url: str, worker: Any) -> Iterator[Process]:
    process = Process(broker_url)
    try:
        yield process
    finally:
        process.stop()


def pull(gateway: str, session: str, url: str) -> dict[str, Any]:
    reply = httpx.post(f"{gateway}/v1/sessions/{session}/rtsp", json={"url": url})
    assert reply.status_code == 201, reply.text
    told: dict[str, Any] = reply.json()
    return told


def until(gateway: str, session: str, state: str, words: str = "") -> dict[str, Any]:
    deadline = time.monotonic() + 40
    while True:
        reply = httpx.get(f"{gateway}/v1/sessions/{session}").json()
        camera: dict[str, Any] = reply["camera"]
        if camera["state"] == state and words in camera["message"]:
            return camera
        assert time.monotonic() < deadline, camera
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("codec", "login"),
    [("h264", "basic"), ("h265", "digest"), ("jpeg", ""), ("vp8", "")],
    ids=lambda value: value or "open",
)
def test_gstreamers_camera_is_seen(
    serve: Any, worker: Any, tools: Any, codec: str, login: str
) -> None:
    gateway = serve(rtsp_hosts="127.0.0.1:*")
    session = tools.new_session(gateway)
    with gstreamer_camera(codec, login, password=PASSWORD) as (port, _):
        user = f"viewer:{QUOTED}@" if login else ""
        told = pull(gateway, session, f"rtsp://{user}127.0.0.1:{port}/camera")
        assert told["url"] == f"rtsp://127.0.0.1:{port}/camera"
        until(gateway, session, "live")
        deadline = time.monotonic() + 20
        while len([f for f in list(worker.frames) if f.session == session]) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        end = f"{gateway}/v1/sessions/{session}/rtsp/{told['id']}"
        assert httpx.delete(end).status_code == 204


def test_another_codec_is_named(serve: Any, worker: Any, tools: Any) -> None:
    gateway = serve(rtsp_hosts="127.0.0.1:*")
    session = tools.new_session(gateway)
    with gstreamer_camera("theora") as (port, _):
        pull(gateway, session, f"rtsp://127.0.0.1:{port}/camera")
        until(gateway, session, "connecting", "THEORA")
        pull(gateway, session, f"rtsp://127.0.0.1:{port}/elsewhere")
        until(gateway, session, "connecting", "404")


def test_a_process_that_says_all_says_no_credentials(talkative: Process, tools: Any) -> None:
    """With wrong ones, right ones, and a camera that is killed and comes back."""
    gateway = talkative.url()
    session = tools.new_session(gateway)
    told = []
    with gstreamer_camera("h264", "digest", password=PASSWORD) as (port, camera):
        told.append(pull(gateway, session, f"rtsp://viewer:hush-wrong@127.0.0.1:{port}/camera"))
        told.append(until(gateway, session, "connecting", "401"))
        address = f"rtsp://viewer:{QUOTED}@127.0.0.1:{port}/camera?token=hush-token"
        told.append(pull(gateway, session, address))
        told.append(until(gateway, session, "live"))
        command = Path(f"/proc/{talkative.process.pid}/cmdline").read_bytes().decode()
        camera.kill()
        camera.wait()
        told.append(until(gateway, session, "stalled", "It is tried again"))
    with gstreamer_camera("h264", "digest", password=PASSWORD, port=port):
        told.append(until(gateway, session, "live"))
        httpx.delete(f"{gateway}/v1/sessions/{session}")
    talkative.stop()
    everything = f"{told}\n{command}\n{talkative.said}"
    assert "plays H264" in everything and "(401)" in everything
    for secret in ("hush", "77@31", "%4031", "Digest ", "Basic "):
        assert secret not in everything
