"""The gateway pulls from cameras that come and go, lie and freeze."""

import asyncio
import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av.logging
import httpx
import pytest

from server import rtsp
from tests.server.clients import eventually
from tests.server.scripted_rtsp import Asked, ScriptedCamera

PASSWORD = "hush-7731"
LOGIN = f"viewer:{PASSWORD}@"


@pytest.fixture
def gateway(serve: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> str:
    """One that tries again soon."""
    monkeypatch.setattr(rtsp, "_FIRST_DELAY_SECONDS", 0.1)
    return serve(rtsp_hosts="127.0.0.1:*", stall_seconds=1, return_seconds=4, orphan_seconds=2)


async def call(method: str, url: str, body: Any = None) -> httpx.Response:
    async with httpx.AsyncClient(verify=False) as client:  # which takes long to make ready
        return await client.request(method, url, json=body)


class Pulling:
    """A session with a camera that is pulled from."""

    def __init__(self, gateway: str, session: str) -> None:
        self.session = f"{gateway}/v1/sessions/{session}"
        self.id = ""

    async def start(self, url: str) -> dict[str, Any]:
        reply = await call("POST", f"{self.session}/rtsp", {"url": url})
        assert reply.status_code == 201, reply.text
        self.id = reply.json()["id"]
        assert reply.headers["location"].endswith(f"/rtsp/{self.id}")
        told: dict[str, Any] = reply.json()
        return told

    async def end(self) -> int:
        return (await call("DELETE", f"{self.session}/rtsp/{self.id}")).status_code

    async def camera(self) -> dict[str, Any]:
        camera: dict[str, Any] = (await call("GET", self.session)).json()["camera"]
        return camera

    async def until(self, state: str, words: str = "", seconds: float = 20) -> dict[str, Any]:
        deadline = time.monotonic() + seconds
        while True:
            camera = await self.camera()
            if camera["state"] == state and words in camera["message"]:
                return camera
            assert time.monotonic() < deadline, camera
            await asyncio.sleep(0.03)


@pytest.fixture
def libav_says_all() -> Iterator[None]:
    before = av.logging.get_level()
    av.logging.set_level(av.logging.DEBUG)
    yield
    av.logging.set_level(before)


@pytest.fixture
def pulling(gateway: str, tools: Any) -> Pulling:
    return Pulling(gateway, tools.new_session(gateway))


async def test_it_is_watched_until_it_is_ended(pulling: Pulling, worker: Any) -> None:
    async with ScriptedCamera() as camera:
        told = await pulling.start(camera.url(login=LOGIN))
        assert told["url"] == camera.url() and told["state"] == "connecting"
        await pulling.until("live")
        assert (await call("GET", f"{pulling.session}/rtsp/{pulling.id}")).json() == (
            told | {"state": "live"}
        )
        await eventually(lambda: worker.frames, 10)
        assert await pulling.end() == 204
        assert (await pulling.camera())["state"] == "gone"
        await eventually(lambda: not camera.open, 1)
        assert camera.methods()[-1] == "TEARDOWN" and camera.connections == 1


async def test_a_camera_that_freezes_is_told_and_connected_to_anew(pulling: Pulling) -> None:
    async with ScriptedCamera() as camera:
        await pulling.start(camera.url())
        await pulling.until("live")
        camera.frozen = True
        began = time.monotonic()
        await pulling.until("stalled", "it has sent nothing for 1 s. It is tried again")
        assert time.monotonic() - began < 5
        await eventually(lambda: camera.connections > 1, 10)
        camera.frozen = False
        await pulling.until("live")
        assert (await pulling.camera())["message"] == ""


async def test_a_camera_that_restarts_is_found_again(pulling: Pulling) -> None:
    camera = ScriptedCamera()
    await camera.start()
    await pulling.start(camera.url())
    await pulling.until("live")
    await camera.stop()
    await pulling.until("stalled", "connection refused")
    async with camera:
        await pulling.until("live")


async def test_a_camera_that_says_goodbye_is_tried_again(pulling: Pulling) -> None:
    async with ScriptedCamera() as camera:
        await pulling.start(camera.url())
        await pulling.until("live")
        camera.leaving = True
        await pulling.until("stalled", "it has ended the stream. It is tried again")
        camera.leaving = False
        await pulling.until("live")


async def test_a_camera_whose_pictures_are_broken_is_told(
    serve: Callable[..., str], tools: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rtsp, "_FIRST_DELAY_SECONDS", 0.1)
    url = serve(rtsp_hosts="127.0.0.1:*", stall_seconds=0.5, connect_seconds=1.5)
    pulling = Pulling(url, tools.new_session(url))
    async with ScriptedCamera() as camera:
        camera.broken = True
        await pulling.start(camera.url())
        await pulling.until("connecting", "The camera shows nothing: it sends no keyframe")
        await pulling.until("connecting", "It is tried again")
        camera.broken = False
        await pulling.until("live")


async def test_a_clock_that_jumps_stops_nothing(pulling: Pulling) -> None:
    async with ScriptedCamera() as camera:
        camera.clock = lambda count: count * 4500 + (count // 10 % 3) * 90_000 * 3600
        await pulling.start(camera.url())
        await pulling.until("live")
        before = await pulling.camera()
        await asyncio.sleep(1.6)
        after = await pulling.camera()
        assert after["state"] == "live"
        assert after["frames_sampled"] > before["frames_sampled"]


async def test_wrong_credentials_are_not_tried_for_ever(pulling: Pulling) -> None:
    def script(asked: Asked) -> bytes | None:
        challenge = 'Digest realm="camera", nonce="x"'
        return asked.reply("401 Unauthorized", WWW_Authenticate=challenge)

    async with ScriptedCamera(script) as camera:
        await pulling.start(camera.url(login=LOGIN))
        await pulling.until("gone", "It was tried 3 times; more attempts could lock the account")
        assert camera.connections == 3
        shown = (await call("GET", f"{pulling.session}/rtsp/{pulling.id}")).json()
        assert shown["state"] == "gone" and "user or the password (401)" in shown["message"]
        await asyncio.sleep(0.5)
        assert camera.connections == 3
        await pulling.start(camera.url())
        told = await pulling.until("gone", "asks for a user and a password")
        assert camera.connections == 4 and "tried" not in told["message"]


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (lambda asked: asked.reply("404 Not Found"), "nothing at this path (404)"),
        (lambda asked: asked.reply("302 Found", Location="rtsp://127.0.0.1:1/"), "redirects"),
        (lambda asked: asked.reply(body="v=0\n"), "sends no video"),
        (lambda asked: b"HTTP/1.1 200 OK\r\n\r\n" * 4000, "does not speak RTSP"),
    ],
    ids=["path", "redirect", "sound", "web"],
)
async def test_why_it_cannot_be_seen_is_told_and_it_is_tried_again(
    pulling: Pulling, script: Callable[[Asked], bytes], words: str
) -> None:
    async with ScriptedCamera(script) as camera:
        await pulling.start(camera.url())
        await pulling.until("connecting", words)
        await eventually(lambda: camera.connections > 1, 10)


async def test_another_camera_takes_over_at_once(pulling: Pulling) -> None:
    async with ScriptedCamera() as first, ScriptedCamera() as second:
        await pulling.start(first.url())
        await pulling.until("live")
        former = pulling.id
        await pulling.start(second.url())
        await eventually(lambda: not first.open, 1)
        await pulling.until("live")
        assert second.open == 1
        assert (await call("DELETE", f"{pulling.session}/rtsp/{former}")).status_code == 404


@pytest.mark.parametrize("silent", ["OPTIONS", "DESCRIBE", "SETUP", "PLAY"])
async def test_closing_the_session_frees_everything_in_mid_open(
    pulling: Pulling, silent: str
) -> None:
    async with ScriptedCamera(lambda asked: b"" if asked.method == silent else None) as camera:
        await pulling.start(camera.url())
        await eventually(lambda: silent in camera.methods(), 10)
        began = time.monotonic()
        assert (await call("DELETE", pulling.session)).status_code == 204
        await eventually(lambda: not camera.open, 1)
        assert time.monotonic() - began < 1
        await asyncio.sleep(0.4)
        assert camera.connections == 1


async def test_a_name_is_looked_up_once_for_each_connection(
    serve: Callable[..., str], tools: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS rebinding: a name that leads elsewhere the next moment."""
    asked: list[str] = []
    real = socket.getaddrinfo

    def rebinding(host: Any, *rest: Any, **named: Any) -> Any:
        if host != "camera.test":
            return real(host, *rest, **named)
        asked.append(host)
        address = "127.0.0.1" if len(asked) % 2 else "127.0.0.2"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0))]

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    monkeypatch.setattr(rtsp, "_FIRST_DELAY_SECONDS", 0.1)
    url = serve(rtsp_hosts="camera.test:*, 127.0.0.1/32:*")
    inside = ScriptedCamera(lambda asked: asked.reply("404 Not Found"))
    outside = ScriptedCamera()
    async with inside:
        outside.host, outside.port = "127.0.0.2", inside.port
        async with outside:
            pulling = Pulling(url, tools.new_session(url))
            await pulling.start(f"rtsp://camera.test:{inside.port}/live")
            await pulling.until("connecting", "LOOKBACK_RTSP_HOSTS does not allow")
            await eventually(lambda: inside.connections > 1, 10)
            assert outside.connections == 0
            assert len(asked) in (3, 4), "once for each attempt"


async def test_the_session_stays_while_pictures_come_and_nobody_listens(
    serve: Callable[..., str], tools: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rtsp, "_FIRST_DELAY_SECONDS", 0.1)
    url = serve(
        rtsp_hosts="127.0.0.1:*", stall_seconds=0.5, idle_seconds=0.5, orphan_seconds=0.5,
        return_seconds=1.0, quiet_seconds=2.5,
    )  # fmt: skip
    pulling = Pulling(url, tools.new_session(url))
    async with ScriptedCamera() as camera:
        await pulling.start(camera.url())
        await asyncio.sleep(1.2)
        await pulling.until("live")
    await pulling.until("stalled", "connection refused")
    await asyncio.sleep(1.5)
    assert (await call("GET", pulling.session)).status_code == 200, "it is still looked for"
    began = time.monotonic()
    while (await call("GET", pulling.session)).status_code == 200:
        assert time.monotonic() - began < 5
        await asyncio.sleep(0.05)


async def test_credentials_are_never_said(
    pulling: Pulling,
    tools: Any,
    gateway: str,
    libav_says_all: None,
    caplog: pytest.LogCaptureFixture,
    capfd: Any,
) -> None:
    caplog.set_level(logging.DEBUG)

    def script(asked: Asked) -> bytes | None:
        login = asked.headers.get("authorization")
        if login is None or "nonce-1" not in login:
            return asked.reply("401 Denied", WWW_Authenticate='Digest realm="r", nonce="nonce-1"')
        return None

    said = []
    async with tools.talking(gateway, pulling.session.rpartition("/")[2]) as client:
        async with ScriptedCamera(script) as camera:
            said.append(json.dumps(await pulling.start(camera.url("/live?k=hush-path", LOGIN))))
            await client.until("lookback.camera.updated", lambda e: e["camera"]["state"] == "live")
            said.append(json.dumps((await call("GET", pulling.session)).json()))
        await client.until("lookback.camera.updated", lambda e: "refused" in e["camera"]["message"])
        for bad in (f"rtsp://{LOGIN}10.9.9.9/", f"http://{LOGIN}x/", f"rtsp://{LOGIN}x:hush-7731/",
                    f"rtsp://viewer:{PASSWORD}/x@y/"):  # fmt: skip
            reply = await call("POST", f"{pulling.session}/rtsp", {"url": bad})
            assert reply.status_code in (403, 422)
            said.append(reply.text)
        reply = await call("POST", f"{pulling.session}/rtsp", {"url": [f"rtsp://{LOGIN}x/"]})
        assert reply.status_code == 422
        said += [reply.text, json.dumps(client.events)]
    captured = capfd.readouterr()
    everything = "\n".join([*said, caplog.text, captured.out, captured.err])
    assert "127.0.0.1" in everything and "connection refused" in everything
    for secret in ("hush", "7731", "nonce-1"):
        assert secret not in everything


def test_it_waits_ever_longer_up_to_half_a_minute() -> None:
    for failures, seconds in ((1, 1), (2, 2), (5, 16), (6, 30), (100_000, 30)):
        waited = [rtsp.delay_seconds(failures) for _ in range(50)]
        assert 0.75 * seconds <= min(waited) < max(waited) <= 1.25 * seconds


def _descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def _threads() -> int:
    return sum(thread.name in ("rtp decoder", "camera's name") for thread in threading.enumerate())


async def test_many_connects_leave_nothing_behind(pulling: Pulling) -> None:
    async with ScriptedCamera() as camera:
        for count in range(20):
            await pulling.start(camera.url())
            await pulling.until("live")
            assert await pulling.end() == 204
            if count == 1:
                await asyncio.sleep(0.4)
                before = _descriptors()
        await asyncio.sleep(0.5)
        assert camera.open == 0 and _threads() == 0
        assert _descriptors() <= before + 2
