"""Senders publish by WHIP: those that browsers, OBS and GStreamer are, and broken ones."""

import asyncio
import gc
import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import hypothesis
import pytest
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import AudioStreamTrack
from aiortc.rtcrtpreceiver import RTCRtpReceiver
from hypothesis import strategies as st

from messages.sessions import CloseSession
from server.app import GatewayError, create_app
from server.camera import Camera
from server.errors import ClientError
from server.feed import FrameFeed
from server.settings import GatewaySettings, IceServer
from server.whip import read_fragment

SDP = {"Content-Type": "application/sdp"}
TRICKLE = {"Content-Type": "application/trickle-ice-sdpfrag"}
HEAD = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n"
MEDIA = (
    "c=IN IP4 0.0.0.0\r\na=mid:{mid}\r\na=sendonly\r\na=rtcp-mux\r\na=ice-ufrag:abcd\r\n"
    "a=ice-pwd:abcdefghijklmnopqrstuvwx\r\na=setup:actpass\r\na=fingerprint:sha-256 "
    + ":".join(["AB"] * 32) + "\r\n"
)  # fmt: skip
VIDEO = "m=video 9 UDP/TLS/RTP/SAVPF 96\r\n" + MEDIA.format(mid=0)
VP8 = "a=rtpmap:96 VP8/90000\r\n"
AUDIO = "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n" + MEDIA.format(mid=1)
OPUS = "a=rtpmap:111 opus/48000/2\r\n"
GOOD = HEAD + VIDEO + VP8


def _h264(profile: str) -> str:
    return (
        f"a=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1;profile-level-id={profile}\r\n"
    )


def _of(worker: Any, session: str) -> list[Any]:
    return [frame for frame in list(worker.frames) if frame.session == session]


def _post(url: str, session: str, sdp: str | bytes = GOOD, **headers: str) -> httpx.Response:
    return httpx.post(f"{url}/whip/{session}", content=sdp, headers=SDP | headers)


class Sender:
    """aiortc as a WHIP client."""

    def __init__(self, url: str, peer: RTCPeerConnection, reply: httpx.Response) -> None:
        self.peer = peer
        self.reply = reply
        self.resource = url + reply.headers["location"]

    async def request(self, method: str, **options: Any) -> httpx.Response:
        return await asyncio.to_thread(httpx.request, method, self.resource, **options)


@asynccontextmanager
async def _sending(
    url: str,
    session: str,
    track: Any,
    *,
    audio: bool = True,
    codec: str | None = None,
    shape: Callable[[str], str] = lambda sdp: sdp,
    **headers: str,
) -> AsyncIterator[Sender]:
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    try:
        if audio:
            peer.addTransceiver(AudioStreamTrack(), direction="sendonly")
        video = peer.addTransceiver(track, direction="sendonly")
        if codec is not None:
            known = RTCRtpReceiver.getCapabilities("video").codecs
            video.setCodecPreferences([c for c in known if codec in f"{c.mimeType} {c.parameters}"])
        await peer.setLocalDescription(await peer.createOffer())
        offer = shape(peer.localDescription.sdp)
        reply = await asyncio.to_thread(lambda: _post(url, session, offer, **headers))
        assert reply.status_code == 201, reply.text
        await peer.setRemoteDescription(RTCSessionDescription(reply.text, "answer"))
        yield Sender(url, peer, reply)
    finally:
        await peer.close()


def _as_obs(sdp: str) -> str:
    """The offer as libdatachannel, which OBS publishes with, would write it: ICE and DTLS at the
    head, and no candidates."""
    lines = [
        line
        for line in sdp.splitlines()
        if not line.startswith(("a=candidate:", "a=end-of-candidates", "a=group"))
    ]
    moved: dict[str, str] = {}
    kept = []
    for line in lines:
        name = line.partition(":")[0]
        if name in ("a=ice-ufrag", "a=ice-pwd", "a=fingerprint", "a=setup"):
            if "sha-256" in line or name != "a=fingerprint":
                moved.setdefault(name, line)
        else:
            kept.append(line)
    first = next(index for index, line in enumerate(kept) if line.startswith("m="))
    head = ["a=group:BUNDLE 0 1", "a=msid-semantic:WMS *", "a=ice-options:ice2,trickle"]
    return "\r\n".join([*kept[:first], *head, *moved.values(), *kept[first:]]) + "\r\n"


async def test_an_offer_as_obs_writes_it(gateway: str, worker: Any, tools: Any) -> None:
    session = tools.new_session(gateway)
    track = tools.MovingPicture(20, (160, 120))
    options = {"codec": "42e01f", "Authorization": "Bearer some-stream-key"}
    async with _sending(gateway, session, track, shape=_as_obs, **options) as sender:
        assert re.fullmatch(rf"/whip/{session}/[\w-]{{20,}}", sender.reply.headers["location"])
        assert re.fullmatch(r'"\w+"', sender.reply.headers["etag"])
        assert sender.reply.headers["content-type"] == "application/sdp"
        assert "link" not in sender.reply.headers
        audio, video = sender.reply.text.split("m=")[1:]
        assert "a=inactive" in audio and "a=recvonly" in video and "H264" in video
        assert "a=candidate:" in sender.reply.text and "a=end-of-candidates" in sender.reply.text
        await tools.eventually(lambda: len(_of(worker, session)) > 1)
        done = await sender.request("DELETE", headers={"Authorization": "Bearer some-stream-key"})
        assert done.status_code == 200


async def test_deleting_frees_at_once_and_the_session_stays(
    gateway: str, worker: Any, tools: Any
) -> None:
    session = tools.new_session(gateway)
    async with tools.talking(gateway, session) as client:
        async with _sending(gateway, session, tools.MovingPicture(20, (160, 120))) as sender:
            await client.until("lookback.memory.updated")
            # A stale tag does not matter here (RFC 9725, section 4.3.1).
            assert (
                await sender.request("DELETE", headers={"If-Match": '"old"'})
            ).status_code == 200
            state = (await asyncio.to_thread(httpx.get, f"{gateway}/v1/sessions/{session}")).json()
            assert state["camera"]["state"] == "gone"
            assert "ended it" in state["camera"]["message"]
            for method in ("DELETE", "PATCH"):
                again = await sender.request(method, headers=TRICKLE | {"If-Match": "*"})
                assert again.status_code == 404
                assert again.json()["error"]["code"] == "unknown_camera"
            ended = ("closed", "failed")  # the latter where our goodbye was lost
            await tools.eventually(lambda: sender.peer.connectionState in ended)
        await client.ask("what was there?")
        assert (await client.until("response.done"))["response"]["status"] == "completed"


async def test_candidates_may_trickle(gateway: str, worker: Any, tools: Any) -> None:
    session = tools.new_session(gateway)
    candidates: list[str] = []

    def without(sdp: str) -> str:
        candidates.extend(re.findall(r"a=candidate:.*", sdp.split("m=")[1]))
        return re.sub(r"a=(candidate:.*|end-of-candidates)\r\n", "", sdp)

    track = tools.MovingPicture(20, (160, 120))
    async with _sending(gateway, session, track, shape=without) as sender:
        offer = sender.peer.localDescription.sdp
        lines = [
            *(re.findall(r"a=ice-ufrag:.*", offer)[:1] + re.findall(r"a=ice-pwd:.*", offer)[:1]),
            "m=audio 9 UDP/TLS/RTP/SAVPF 111", "a=mid:0", *candidates,
            "a=candidate:1 1 TCP 1 192.0.2.1 9 typ host tcptype active", "a=end-of-candidates",
        ]  # fmt: skip
        fragment = "\r\n".join(line.strip() for line in lines) + "\r\n"

        async def patch(fragment: str, **headers: str) -> tuple[int, str]:
            reply = await sender.request("PATCH", content=fragment, headers=TRICKLE | headers)
            if reply.status_code == 204:
                assert "etag" not in reply.headers
                return 204, reply.text
            return reply.status_code, reply.json()["error"]["code"]

        tag = {"If-Match": sender.reply.headers["etag"]}
        assert await patch(fragment, **tag) == (204, "")
        assert await patch(fragment, **{"If-Match": "*"}) == (204, "")  # again does no harm
        assert await patch("a=end-of-candidates\r\n", **tag) == (204, "")
        assert await patch(fragment) == (428, "if_match_missing")
        assert await patch(fragment, **{"If-Match": '"other"'}) == (412, "etag_mismatch")
        assert await patch("hello", **tag) == (400, "invalid_fragment")
        assert await patch("a=candidate:1 1 udp\r\n", **tag) == (400, "invalid_candidate")
        elsewhere = fragment.replace("a=mid:0", "a=mid:9")
        assert await patch(elsewhere, **tag) == (400, "invalid_candidate")
        restart = "a=ice-ufrag:ysXw\r\na=ice-pwd:vw5LmwG4y/e6dPP/zAP9Gp5k\r\n"
        assert await patch(restart, **{"If-Match": "*"}) == (422, "ice_restart_unsupported")
        assert await patch(fragment + "a=x\r\n" * 9999, **tag) == (413, "body_too_large")
        assert await patch(fragment, **{"Content-Type": "text/plain", **tag}) == (
            415, "unsupported_media_type",
        )  # fmt: skip
        many = "".join(
            f"a=candidate:{i} 1 udp 1 192.0.2.1 {1000 + i} typ host\r\n" for i in range(99)
        )
        assert await patch(many, **tag) == (204, "")
        await tools.eventually(lambda: len(_of(worker, session)) > 1)


_REFUSED: list[tuple[str | bytes, int, str]] = [
    ("", 400, "invalid_offer"),
    ("junk", 400, "invalid_offer"),
    (b"\xff\xfe", 400, "invalid_body"),
    (HEAD + "m=video x y z\r\na=mid:0\r\n" + VP8, 400, "invalid_offer"),
    (GOOD.replace("sendonly", "recvonly"), 400, "offer_without_video"),
    (HEAD, 422, "unsupported_media"),
    (HEAD + AUDIO + OPUS, 422, "unsupported_media"),
    (HEAD + VIDEO + VP8 + VIDEO.replace("mid:0", "mid:1") + VP8, 422, "unsupported_media"),
    (GOOD + AUDIO + OPUS + AUDIO.replace("mid:1", "mid:2") + OPUS, 422, "unsupported_media"),
    (GOOD + "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n", 422, "unsupported_media"),
    (HEAD + VIDEO + _h264("4d001f"), 422, "unsupported_codec"),
    (HEAD + VIDEO + _h264("640c1f"), 422, "unsupported_codec"),
    (HEAD + VIDEO + "a=rtpmap:96 H265/90000\r\n", 422, "unsupported_codec"),
    (GOOD + "a=x\r\n" * 14000, 413, "body_too_large"),
]


async def test_what_cannot_be_taken_is_refused_in_words(gateway: str, tools: Any) -> None:
    session = tools.new_session(gateway)
    for sdp, status, code in _REFUSED:
        reply = await asyncio.to_thread(_post, gateway, session, sdp)
        assert (reply.status_code, reply.json()["error"]["code"]) == (status, code), (
            sdp,
            reply.text,
        )
        assert len(reply.json()["error"]["message"]) > 20
        assert "location" not in reply.headers
    state = await asyncio.to_thread(httpx.get, f"{gateway}/v1/sessions/{session}")
    assert state.json()["camera"]["state"] == "none"


_PIECES = [
    "a=candidate:1 1 udp 1 192.0.2.1 9 typ host", "a=candidate:", "a=candidate:1 1 udp x y z typ",
    "a=candidate:1 1 udp 1 ::1%9 65536 typ host", "a=candidate:\u0661 1 udp 1 192.0.2.1 1 typ x",
    "a=candidate:1 1 tcp 1 example.com 9 typ host tcptype", "a=mid:0", "a=mid:9", "a=mid:", "m=",
    "a=ice-ufrag:abcd", "a=ice-pwd:", "a=end-of-candidates", "m=video 9 UDP/TLS/RTP/SAVPF 0",
]  # fmt: skip


@hypothesis.settings(max_examples=60, deadline=None)
@hypothesis.given(
    st.lists(st.sampled_from(_PIECES) | st.text(max_size=20), max_size=6).map("\r\n".join)
)
def test_any_fragment_is_taken_or_refused_in_words(fragment: str) -> None:
    async def take() -> None:
        feed = FrameFeed("none", GatewaySettings(), None, (96, 96), 1, lambda message: None)
        camera = Camera(feed, GatewaySettings(), lambda: None)
        try:
            await camera.answer(GOOD)
            await camera.add_candidates(read_fragment(fragment))
            assert camera.state == "connecting"
        except ClientError as error:
            assert error.code in ("invalid_fragment", "invalid_candidate")
        finally:
            await camera.close()

    asyncio.run(take())


def test_other_content_types(gateway: str, tools: Any) -> None:
    session = tools.new_session(gateway)
    for kind in ("application/json", "text/plain", "", "application/sdpx"):
        reply = _post(gateway, session, **{"Content-Type": kind})
        assert (reply.status_code, reply.json()["error"]["code"]) == (415, "unsupported_media_type")
        assert "application/sdp" in reply.json()["error"]["message"]
    kind = "Application/SDP; charset=utf-8"
    assert _post(gateway, session, **{"Content-Type": kind}).status_code == 201
    assert _post(gateway, session, GOOD.replace("\r\n", "\n")).status_code == 201


def test_only_sessions_that_were_made_can_be_published_to(gateway: str, tools: Any) -> None:
    reply = _post(gateway, "my-stream", "broken")
    assert (reply.status_code, reply.json()["error"]["code"]) == (404, "unknown_session")
    assert "POST /v1/sessions" in reply.json()["error"]["message"]
    session = tools.new_session(gateway)
    for where in (f"{session}/guessed", "my-stream/guessed", f"{session}/%F0%9F%98%80"):
        for method in ("PATCH", "DELETE"):
            reply = httpx.request(
                method, f"{gateway}/whip/{where}", headers=TRICKLE | {"If-Match": "*"}
            )
            assert reply.status_code == 404
    assert _post(gateway, session).status_code == 201
    assert httpx.delete(f"{gateway}/whip/{session}/guessed").status_code == 404


def test_what_may_be_sent_can_be_asked(gateway: str, tools: Any) -> None:
    for method in ("OPTIONS", "GET", "HEAD"):
        endpoint = httpx.request(method, f"{gateway}/whip/any")
        assert (endpoint.status_code, endpoint.content) == (204, b"")
        assert endpoint.headers["accept-post"] == "application/sdp"
        resource = httpx.request(method, f"{gateway}/whip/any/thing")
        assert (resource.status_code, resource.content) == (204, b"")
        assert resource.headers["accept-patch"] == "application/trickle-ice-sdpfrag"
    assert httpx.put(f"{gateway}/whip/any").status_code == 405


async def test_a_later_sender_takes_the_place(gateway: str, worker: Any, tools: Any) -> None:
    session = tools.new_session(gateway)
    track = tools.MovingPicture(20, (160, 120))
    async with _sending(gateway, session, track) as first:
        await tools.eventually(lambda: _of(worker, session))
        refused = await asyncio.to_thread(_post, gateway, session, HEAD + VIDEO + _h264("640c1f"))
        assert refused.status_code == 422  # and the first goes on
        assert (
            await first.request("PATCH", headers=TRICKLE | {"If-Match": "*"})
        ).status_code == 204
        async with _sending(gateway, session, tools.MovingPicture(20, (90, 160))) as second:
            assert second.resource != first.resource
            assert (await first.request("DELETE")).status_code == 404
            before = len(_of(worker, session))
            await tools.eventually(lambda: len(_of(worker, session)) > before + 1)
            async with tools.sending(gateway, session):  # by the browser's way
                assert (await second.request("DELETE")).status_code == 404


async def test_a_full_gateway_says_when_to_come_again(
    serve: Callable[..., str], tools: Any
) -> None:
    url = serve(most_cameras=1, connect_seconds=1)
    one, other = tools.new_session(url), tools.new_session(url)
    assert _post(url, one).status_code == 201
    assert _post(url, one).status_code == 201  # in the place of the first
    full = _post(url, other)
    assert (full.status_code, full.json()["error"]["code"]) == (503, "too_many_cameras")
    assert int(full.headers["retry-after"]) >= 1
    address, offer = f"{url}/v1/sessions/{other}/offer", {"sdp": GOOD, "type": "offer"}
    assert (await asyncio.to_thread(httpx.post, address, json=offer)).status_code == 503
    await tools.eventually(lambda: _post(url, other).status_code == 201)  # the first has gone


def test_ice_servers_are_told(serve: Callable[..., str], tools: Any) -> None:
    urls = ("turn:turn.example:3478?transport=udp", "turns:turn.example:443?transport=tcp")
    servers = (
        {"urls": urls, "username": "1999:me", "credential": 's3+/="\\'},
        {"urls": ("stun:s",)},
    )
    url = serve(ice_servers=servers)
    reply = _post(url, tools.new_session(url))
    secret = r'; username="1999:me"; credential="s3+/=\"\\"; credential-type="password"'
    assert reply.headers.get_list("link") == [
        f'<{urls[0]}>; rel="ice-server"{secret}',
        f'<{urls[1]}>; rel="ice-server"{secret}',
        '<stun:s>; rel="ice-server"',
    ]


@pytest.mark.parametrize("url", ["http://x", 'turn:x"; rel="other', "turn:x>", "turn: x"])
def test_an_address_that_is_none_is_named(url: str) -> None:
    with pytest.raises(ValueError, match="ice_servers"):
        GatewaySettings(ice_servers=({"urls": [url]},))


def test_a_secret_that_cannot_be_told_is_not_repeated() -> None:
    server = IceServer(urls=("turn:x",), username="me", credential="s3cret\r\nSet-Cookie: b")
    with pytest.raises(GatewayError, match="LOOKBACK_ICE_SERVERS: the credential") as refused:
        create_app(GatewaySettings(ice_servers=(server,)))
    assert "s3cret" not in str(refused.value) + repr(server)


async def test_a_session_lives_while_its_sender_is_there(
    serve: Callable[..., str], worker: Any, tools: Any
) -> None:
    """Without anybody who listens, through a pause, and a while after the sender is lost."""
    url = serve(stall_seconds=0.5, orphan_seconds=1, return_seconds=2)
    session = tools.new_session(url)
    track = tools.MovingPicture(20, (160, 120))
    async with _sending(url, session, track, audio=False):
        await tools.eventually(lambda: _of(worker, session))
        track.going.clear()  # it still reports, every second or so
        await asyncio.sleep(3)
        state = (await asyncio.to_thread(httpx.get, f"{url}/v1/sessions/{session}")).json()
        assert state["camera"]["state"] == "stalled"
    await asyncio.sleep(1.3)
    async with _sending(url, session, tools.MovingPicture(20, (160, 120)), audio=False):
        seen = len(_of(worker, session))
        await tools.eventually(lambda: len(_of(worker, session)) > seen)
    left = time.monotonic()
    await tools.eventually(lambda: worker.of(CloseSession, session))
    assert time.monotonic() - left > 1.2


async def test_a_session_ends_soon_after_its_sender_said_goodbye(
    serve: Callable[..., str], worker: Any, tools: Any
) -> None:
    url = serve(orphan_seconds=1, return_seconds=60)
    session = tools.new_session(url)
    async with _sending(url, session, tools.MovingPicture(20, (160, 120))) as sender:
        await tools.eventually(lambda: _of(worker, session))
        assert (await sender.request("DELETE")).status_code == 200
        left = time.monotonic()
        await tools.eventually(lambda: worker.of(CloseSession, session), 10)
        assert time.monotonic() - left > 0.5


async def test_thirty_senders_that_came_and_went_leave_nothing(
    gateway: str, worker: Any, tools: Any
) -> None:
    session = tools.new_session(gateway)

    def left() -> tuple[int, int]:
        gc.collect()
        peers = sum(type(thing) is RTCPeerConnection for thing in gc.get_objects())
        return len(list(Path("/proc/self/fd").iterdir())), peers

    async def once() -> None:
        track = tools.MovingPicture(20, (160, 120))
        async with _sending(gateway, session, track, audio=False) as sender:
            await tools.eventually(lambda: sender.peer.connectionState == "connected")
            assert (await sender.request("DELETE")).status_code == 200

    await once()
    files, peers = left()
    for _ in range(30):
        await once()
    await tools.eventually(lambda: left()[0] <= files + 2 and left()[1] <= peers + 2, 15)
