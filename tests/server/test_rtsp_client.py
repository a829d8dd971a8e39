"""RTSP with cameras that behave oddly; wherever they point, nobody else is ever called."""

import asyncio
import contextlib
import socket
from asyncio.selector_events import BaseSelectorEventLoop
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server import rtsp_client
from server.rtsp_client import CameraFailed, LoginRefused, RtspClient, connect
from server.rtsp_messages import MalformedReply, Packet
from server.rtsp_url import read_url
from tests.server.clients import eventually
from tests.server.scripted_rtsp import SDP, Asked, Script, ScriptedCamera, interleaved

NONCE = 'Digest realm="camera", nonce="{}"'


def saying(method: str, status: str, body: str = "", **headers: str) -> Script:
    def script(asked: Asked) -> bytes | None:
        return asked.reply(status, body, **headers) if asked.method == method else None

    return script


async def first_packet(camera: ScriptedCamera, login: str = "") -> Packet:
    url = read_url(camera.url(login=login))
    assert url.address is not None
    client = await connect(url, [url.address])
    try:
        async with asyncio.timeout(10):
            await client.play(await client.describe())
            return await client.packet()
    finally:
        client.close()


@pytest.fixture
def dialled(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Every address that a socket of this process is connected to, one after another."""
    seen: list[Any] = []
    real = BaseSelectorEventLoop.sock_connect

    async def watched(self: Any, sock: socket.socket, address: Any) -> None:
        seen.append(address)
        await real(self, sock, address)

    monkeypatch.setattr(BaseSelectorEventLoop, "sock_connect", watched)
    return seen


@pytest.mark.parametrize(
    ("script", "why"),
    [
        (saying("OPTIONS", "302 Moved", Location="rtsp://127.0.0.1:1/"), "redirects"),
        (saying("DESCRIBE", "301 Moved", Location="rtsp://127.0.0.1:1/"), "redirects"),
        (saying("DESCRIBE", "302 Found", Location="http://169.254.169.254/"), "redirects"),
        (saying("SETUP", "305 Use Proxy", Location="rtsp://127.0.0.1:1/"), "redirects"),
        (saying("PLAY", "303 See Other", Location="rtsp://127.0.0.1:1/"), "redirects"),
        (lambda asked: b"REDIRECT rtsp://x RTSP/1.0\r\nCSeq: 1\r\n"
            b"Location: rtsp://127.0.0.1:1/\r\n\r\n", "redirects"),
        (saying("DESCRIBE", "404 Not Found"), "404"),
        (saying("DESCRIBE", "401 Unauthorized", WWW_Authenticate=NONCE), "user and a password"),
        (saying("DESCRIBE", "200 OK", "v=0\nm=audio 0 RTP/AVP 0\n"), "no video"),
        (saying("SETUP", "461 Unsupported Transport"), "UDP only"),
        (saying("SETUP", "200 OK", Transport="RTP/AVP;unicast;server_port=5000-5001"), "over TCP"),
        (saying("SETUP", "200 OK"), "over TCP"),
        (saying("PLAY", "503 Busy"), "busy"),
    ],
)  # fmt: skip
async def test_why_it_fails_is_told(script: Script, why: str, dialled: list[Any]) -> None:
    async with ScriptedCamera(script) as camera:
        with pytest.raises(CameraFailed, match=why):
            await first_packet(camera)
        assert dialled == [("127.0.0.1", camera.port)] and camera.connections == 1


@pytest.mark.parametrize("control", ["rtsp://127.0.0.2:1/x", "http://127.0.0.2/x", "data:x"])
async def test_addresses_in_a_description_lead_nowhere(control: str, dialled: list[Any]) -> None:
    sdp = SDP.replace("0.0.0.0", "127.0.0.2").replace("a=control:picture", f"a=control:{control}")
    headers = {"Content_Base": "rtsp://127.0.0.2:1/base/"}
    async with ScriptedCamera(saying("DESCRIBE", "200 OK", sdp, **headers)) as camera:
        assert (await first_packet(camera)).channel == 0
        assert dialled == [("127.0.0.1", camera.port)] and camera.connections == 1


async def test_a_header_from_a_reply_brings_no_other() -> None:
    sdp = SDP.replace("a=control:picture", "a=control:x\tRTSP/1.0\x01")
    async with ScriptedCamera(saying("DESCRIBE", "200 OK", sdp)) as camera:
        with pytest.raises((CameraFailed, MalformedReply)):
            await first_packet(camera)
        assert camera.methods() == ["OPTIONS", "DESCRIBE"]


@pytest.mark.parametrize("stale", [True, False])
async def test_a_nonce_that_changes_is_followed(stale: bool) -> None:
    """Some cameras give another with every request, and not all of them say `stale`."""

    def script(asked: Asked) -> bytes | None:
        fresh = f'nonce="{asked.method}"'
        if asked.method == "TEARDOWN" or fresh in asked.headers.get("authorization", ""):
            return None
        challenge = NONCE.format(asked.method) + (", stale=true" if stale else "")
        return asked.reply("401 Unauthorized", WWW_Authenticate=challenge)

    async with ScriptedCamera(script) as camera:
        await first_packet(camera, "viewer:secret@")
        assert (
            camera.methods()[:8]
            == ["OPTIONS"] * 2 + ["DESCRIBE"] * 2 + ["SETUP"] * 2 + ["PLAY"] * 2
        )


async def test_wrong_credentials_are_tried_once() -> None:
    script = saying("DESCRIBE", "401 Unauthorized", WWW_Authenticate=NONCE.format("x"))
    async with ScriptedCamera(script) as camera:
        with pytest.raises(LoginRefused, match="refuses the user or the password"):
            await first_packet(camera, "viewer:wrong@")
        assert camera.methods() == ["OPTIONS", "DESCRIBE", "DESCRIBE"]


async def test_a_login_of_another_kind_locks_no_account() -> None:
    async with ScriptedCamera(saying("OPTIONS", "401 No", WWW_Authenticate="Bearer")) as camera:
        with pytest.raises(CameraFailed, match="neither Digest nor Basic") as failed:
            await first_packet(camera, "viewer:secret@")
        assert not isinstance(failed.value, LoginRefused) and camera.methods() == ["OPTIONS"]


async def test_it_is_kept_alive_and_says_goodbye() -> None:
    challenges = iter([NONCE.format("later")])

    def script(asked: Asked) -> bytes | None:
        if asked.method == "SETUP":
            transport = "RTP/AVP/TCP;interleaved=4-5"
            return interleaved(4, b"early") + asked.reply(
                Transport=transport, Session="s;timeout=1"
            )
        if asked.method == "PLAY":
            ask = b"OPTIONS * RTSP/1.0\r\nCSeq: 77\r\n\r\nANNOUNCE * RTSP/1.0\r\nCSeq: 78\r\n\r\n"
            return ask + asked.reply() + interleaved(4, b"x") * 9
        if asked.method == "GET_PARAMETER" and (challenge := next(challenges, None)):
            return asked.reply("401 Unauthorized", WWW_Authenticate=challenge)
        return interleaved(4, b"on") if asked.method == "GET_PARAMETER" else None

    async with ScriptedCamera(script) as camera:
        url = read_url(camera.url(login="viewer:secret@"))
        assert url.address is not None
        client = await connect(url, [url.address])
        assert await client.play(await client.describe()) == 4
        client._keep_alive_at = 0.0
        packets = [await client.packet() for _ in range(11)]
        assert packets[0] == Packet(4, b"early") and packets[-1] == Packet(4, b"on")
        client.close()
        await eventually(lambda: not camera.open and "TEARDOWN" in camera.methods(), 5)
        methods = camera.methods()
        assert methods.count("GET_PARAMETER") == 2, "again, with the new login"
        assert {"RTSP/1.0"} & set(methods), "its requests are answered"


async def test_an_end_that_is_not_taken_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """A camera that reads nothing keeps no socket of ours."""
    monkeypatch.setattr(rtsp_client, "_CLOSE_SECONDS", 0.1)
    async with ScriptedCamera() as camera:
        url = read_url(camera.url())
        assert url.address is not None
        client = await connect(url, [url.address])
        await client.play(await client.describe())
        client._writer.transport.set_write_buffer_limits(0)
        client._writer.write(b"\0" * 2**24)
        client.close()
        await asyncio.sleep(0.3)
        transport = client._writer.transport
        assert transport.is_closing() and transport.get_write_buffer_size() == 0


async def test_whom_nobody_reaches() -> None:
    async with ScriptedCamera() as camera:
        pass
    url = read_url(camera.url())
    assert url.address is not None
    with pytest.raises(CameraFailed, match="nothing listens"):
        await connect(url, [url.address])


HEADERS = st.sampled_from(
    ["Session: x", "Session: x;timeout=99999999999", "Session:", "Public: GET_PARAMETER",
     "Transport: RTP/AVP/TCP;interleaved=0-1", "Transport: RTP/AVP/TCP;interleaved=999",
     'WWW-Authenticate: Digest nonce="x", algorithm=MD5-sess', "WWW-Authenticate: Basic",
     'WWW-Authenticate: Digest nonce="\\"x\\\\", qop="auth,auth-int", stale=true', "CSeq: 999",
     "Content-Base: \t\x01", "Content-Length: 7", "Content-Length: x"]
)  # fmt: skip
BODIES = st.sampled_from([SDP, SDP.replace("picture", "\x07"), "v=0\nm=video 0 RTP/AVP 26", ""])
STARTS = st.sampled_from(
    ["RTSP/1.0 200 OK"] * 9 + ["RTSP/1.0 401 No", "RTSP/2.0 999", "A b RTSP/1.0"]
)


def reply(start: str, headers: list[str], body: str) -> bytes:
    length = [f"Content-Length: {len(body)}"] if body else []
    return "\r\n".join([start, *length, *headers, "", body]).encode()


@given(st.lists(st.builds(reply, STARTS, st.lists(HEADERS, max_size=3), BODIES) | st.binary()))
async def test_nothing_else_is_ever_raised(replies: list[bytes]) -> None:
    reader = asyncio.StreamReader()
    reader.feed_data(b"".join(replies))
    reader.feed_eof()
    ours, theirs = socket.socketpair()
    with theirs:
        _, writer = await asyncio.open_connection(sock=ours)
        client = RtspClient(read_url("rtsp://viewer:secret@10.0.0.9/"), reader, writer)
        with contextlib.suppress(CameraFailed, MalformedReply, EOFError):
            await client.play(await client.describe())
            for _ in range(100):
                await client.packet()
        client.close()
        writer.transport.abort()
