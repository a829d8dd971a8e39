"""Real programs publish by WHIP: GStreamer, ffmpeg, OBS's library, and Chromium from a page of
another origin."""

import asyncio
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import av
import httpx
import pytest
from playwright.async_api import async_playwright

from tests.server.programs import (
    certificate,
    chromium,
    datachannel_python,
    gstreamer,
    missing,
)

CAMERAS = Path(__file__).parent.parent.parent / "docs" / "cameras.md"


def _of(worker: Any, session: str) -> list[Any]:
    return [frame for frame in list(worker.frames) if frame.session == session]


@pytest.mark.parametrize(
    "options", [("vp8", "audio", "trickle"), ("h264",)], ids=lambda options: " ".join(options)
)
async def test_gstreamer_publishes_and_says_goodbye(
    gateway: str, worker: Any, tools: Any, options: tuple[str, ...]
) -> None:
    session = tools.new_session(gateway)
    with gstreamer(f"{gateway}/whip/{session}", *options) as process:
        await tools.eventually(lambda: len(_of(worker, session)) > 1 or process.poll(), 30)
        process.send_signal(signal.SIGINT)
        said, _ = await asyncio.to_thread(process.communicate, None, 20)
    state = (await asyncio.to_thread(httpx.get, f"{gateway}/v1/sessions/{session}")).json()
    assert "ended it" in state["camera"]["message"], said
    steps = re.findall(r"^([A-Z]+) (\d+)$", said, flags=re.MULTILINE)
    assert (steps[0], steps[-1]) == (("POST", "201"), ("DELETE", "200")), said
    assert (("PATCH", "204") in steps) == ("trickle" in options), said


@pytest.mark.parametrize("options", [{}, {"whip_flags": "dtls_active"}], ids=["passive", "active"])
async def test_ffmpeg_publishes_and_says_goodbye(
    gateway: str, worker: Any, tools: Any, tmp_path: Path, options: dict[str, str]
) -> None:
    if "whip" not in av.formats_available:
        missing("this PyAV brings an ffmpeg without the WHIP muxer")
    session = tools.new_session(gateway)
    files = certificate(tmp_path)
    script = str(Path(__file__).with_name("ffmpeg_whip.py"))
    settings = [f"{name}={value}" for name, value in (options | files).items()]
    command = [sys.executable, script, f"{gateway}/whip/{session}", "2.5", *settings]
    await asyncio.to_thread(subprocess.run, command, check=True, timeout=60)
    assert len(_of(worker, session)) > 1
    state = (await asyncio.to_thread(httpx.get, f"{gateway}/v1/sessions/{session}")).json()
    assert "ended it" in state["camera"]["message"]
    assert state["camera"]["frames_received"] > 30


@pytest.mark.parametrize("profile", ["baseline", "high"])
async def test_the_library_of_obs_publishes(
    gateway: str, worker: Any, tools: Any, profile: str
) -> None:
    session = tools.new_session(gateway)
    script = str(Path(__file__).with_name("obs_whip.py"))
    command = [datachannel_python(), script, f"{gateway}/whip/{session}", "2.5", profile]
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    sent = await asyncio.to_thread(
        subprocess.run, command, capture_output=True, text=True, timeout=60, env=environment
    )
    assert sent.returncode == 0 and "DELETE 200" in sent.stdout, sent.stderr
    assert len(_of(worker, session)) > 1
    state = (await asyncio.to_thread(httpx.get, f"{gateway}/v1/sessions/{session}")).json()
    assert state["camera"]["frames_received"] > 60


async def test_a_sender_that_vanishes_is_noticed(serve: Callable[..., str], tools: Any) -> None:
    url = serve(stall_seconds=1, return_seconds=2)
    session = tools.new_session(url)
    async with tools.talking(url, session) as client:
        with gstreamer(f"{url}/whip/{session}", "vp8") as process:
            await client.until("lookback.memory.updated")
            process.kill()
            killed = time.monotonic()
            await client.until(
                "lookback.camera.updated", lambda e: e["camera"]["state"] == "stalled"
            )
            assert time.monotonic() - killed < 5


@contextmanager
def _page() -> Iterator[str]:
    """An empty page of another origin."""

    class Empty(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<!doctype html><title>publisher</title>")

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Empty)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


PUBLISH = """async (endpoint) => {
  const stream = await navigator.mediaDevices.getUserMedia({video: true, audio: true});
  const peer = window.peer = new RTCPeerConnection();
  for (const track of stream.getTracks())
    peer.addTransceiver(track, {direction: "sendonly", streams: [stream]});
  const candidates = [];
  const gathered = new Promise((resolve) => {
    peer.onicecandidate = (e) => e.candidate ? candidates.push(e.candidate) : resolve();
  });
  const offer = await peer.createOffer();
  const key = {Authorization: "Bearer some-key"};
  const reply = await fetch(endpoint, {method: "POST", body: offer.sdp,
    headers: {"Content-Type": "application/sdp", ...key}});
  if (reply.status !== 201) return {status: reply.status};
  await peer.setLocalDescription(offer);
  await peer.setRemoteDescription({type: "answer", sdp: await reply.text()});
  await gathered;
  const resource = window.resource = new URL(reply.headers.get("Location"), endpoint).href;
  const ufrag = /a=ice-ufrag:.*/.exec(offer.sdp)[0], pwd = /a=ice-pwd:.*/.exec(offer.sdp)[0];
  const mine = candidates.filter((c) => c.sdpMLineIndex === 0).map((c) => "a=" + c.candidate);
  const lines = [ufrag, pwd, "m=video 9 UDP/TLS/RTP/SAVPF 0", "a=mid:0", ...mine];
  const patched = await fetch(resource, {method: "PATCH", body: lines.join("\\r\\n") + "\\r\\n",
    headers: {"Content-Type": "application/trickle-ice-sdpfrag",
              "If-Match": reply.headers.get("ETag"), ...key}});
  return {status: 201, link: reply.headers.get("Link"), patched: patched.status,
          candidates: mine.length};
}"""
UNPUBLISH = """async () => {
  const reply = await fetch(window.resource,
    {method: "DELETE", headers: {Authorization: "Bearer some-key"}});
  return reply.status;
}"""


async def test_a_page_of_another_origin_publishes(
    serve: Callable[..., str], worker: Any, tools: Any, tmp_path: Path
) -> None:
    with _page() as welcome, _page() as stranger:
        url = serve(allowed_origins={welcome}, ice_servers=({"urls": ("stun:127.0.0.1:9",)},))
        session = tools.new_session(url)
        endpoint = f"{url}/whip/{session}"
        arguments = [
            "--no-sandbox", "--disable-gpu", "--use-fake-ui-for-media-stream",
            "--use-fake-device-for-media-stream", "--disable-background-networking",
        ]  # fmt: skip
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=chromium(), args=arguments)
            page = await browser.new_page()
            await page.goto(stranger)
            with pytest.raises(Exception, match="Failed to fetch"):
                await page.evaluate(PUBLISH, endpoint)
            await page.goto(welcome)
            published = await page.evaluate(PUBLISH, endpoint)
            assert published["candidates"] > 0
            assert published | {"candidates": 1} == {
                "status": 201, "link": '<stun:127.0.0.1:9>; rel="ice-server"', "patched": 204,
                "candidates": 1,
            }  # fmt: skip
            await tools.eventually(lambda: len(_of(worker, session)) > 1, 30)
            assert await page.evaluate(UNPUBLISH) == 200
            # And as the documentation has it, without candidates from the browser.
            example = re.findall(r"```js\n(.*?)```", CAMERAS.read_text(), flags=re.DOTALL)[0]
            before = len(_of(worker, session))
            await page.evaluate(
                f"async (endpoint) => {{ {example} Object.assign(window, {{ peer, camera }}); }}",
                endpoint,
            )
            await tools.eventually(lambda: len(_of(worker, session)) > before + 1, 30)
            ended = "fetch(window.camera, {method: 'DELETE'}).then((reply) => reply.status)"
            assert await page.evaluate(ended) == 200
            await browser.close()
