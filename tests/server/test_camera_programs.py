"""A real browser shares a picture in which nothing moves, and finds published ports."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import cv2
import httpx
import numpy as np
import pytest
from playwright.async_api import async_playwright

from tests.server.nat import published
from tests.server.ports import free_range
from tests.server.programs import chromium

ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
SHARE = r"""async (address) => {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [640, 480];
  window.fill = (colour) => {
    const context = canvas.getContext("2d");
    context.fillStyle = colour;
    context.fillRect(0, 0, canvas.width, canvas.height);
  };
  window.fill("rgb(200 0 0)");
  const stream = canvas.captureStream(10);
  window.moving = setInterval(() => window.fill(`rgb(200 ${Math.random() * 90} 0)`), 100);
  const peer = (window.peer = new RTCPeerConnection());
  peer.addTransceiver(stream.getVideoTracks()[0], {direction: "sendonly"});
  await peer.setLocalDescription();
  const reply = await fetch(address, {
    method: "POST", headers: {"Content-Type": "application/json"},
    body: JSON.stringify({
      type: "offer", sdp: peer.localDescription.sdp.replace(/a=candidate:.*\r\n/g, ""),
    }),
  });
  const {sdp, type} = await reply.json();
  await peer.setRemoteDescription({sdp, type});
}"""


async def test_a_screen_that_stands_still_is_the_present_and_not_stalled(
    serve: Callable[..., str], worker: Any, tools: Any
) -> None:
    gateway = serve(keep_every_seconds=1, stall_seconds=3)
    session = tools.new_session(gateway)

    def seen() -> list[Any]:
        return [frame for frame in list(worker.frames) if frame.session == session]

    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium(), args=ARGUMENTS)
        page = await browser.new_page()
        await page.goto(f"{gateway}/health")
        await page.evaluate(SHARE, f"{gateway}/v1/sessions/{session}/offer")
        await tools.eventually(lambda: len(seen()) > 2, 30)
        await page.evaluate("clearInterval(window.moving)")
        await asyncio.sleep(0.3)  # the browser takes ten pictures a second, or none
        await page.evaluate("window.fill('rgb(0 0 200)')")
        stilled = time.time()
        await asyncio.sleep(6)
        reply = await asyncio.to_thread(httpx.get, f"{gateway}/v1/sessions/{session}")
        before = len(seen())
        await page.evaluate("window.fill('rgb(0 200 0)')")
        # The still picture may come once more before the new one has its turn.
        await tools.eventually(lambda: any(_mean(frame)[1] > 150 for frame in seen()[before:]), 30)
        await browser.close()
    assert reply.json()["camera"]["state"] == "live"
    still = [frame for frame in seen()[:before] if frame.captured_at > stilled + 2]
    assert len(still) >= 2
    for frame in still:
        blue, _, red = _mean(frame)
        assert blue > 150 and red < 60


async def test_a_browser_finds_published_ports(
    serve: Callable[..., str], worker: Any, tools: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As docker-compose.yml publishes them: on this machine's 127.0.0.1."""
    monkeypatch.setattr("server.gathering._all_addresses", lambda use_ipv4, use_ipv6: ["127.0.0.2"])
    ports = free_range(4)
    url = serve(udp_ports=ports, media_address="127.0.0.1")
    session = tools.new_session(url)
    async with published(ports, "127.0.0.1", "127.0.0.2"), async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium(), args=ARGUMENTS)
        page = await browser.new_page()
        await page.goto(f"{url}/health")
        await page.evaluate(SHARE, f"{url}/v1/sessions/{session}/offer")
        await tools.eventually(lambda: any(f.session == session for f in list(worker.frames)), 30)
        await browser.close()


def _mean(frame: Any) -> Any:
    pixels = cv2.imdecode(np.frombuffer(frame.jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert pixels is not None
    return pixels.reshape(-1, 3).mean(0)
