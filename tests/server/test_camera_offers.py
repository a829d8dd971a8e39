"""Offers are answered, or refused in words; a broken one harms nobody."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
import pytest
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import AudioStreamTrack

from server.camera import Camera
from server.errors import ClientError
from server.feed import FrameFeed
from server.sdp import SDP_BYTES
from server.settings import GatewaySettings


def _of(worker: Any, session: str) -> list[Any]:
    return [frame for frame in list(worker.frames) if frame.session == session]


async def test_audio_is_refused(gateway: str, worker: Any, tools: Any) -> None:
    session = tools.new_session(gateway)
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    track = tools.MovingPicture(20, (160, 120))
    peer.addTransceiver(AudioStreamTrack(), direction="sendonly")
    peer.addTransceiver(track, direction="sendonly")
    await peer.setLocalDescription(await peer.createOffer())
    offer = {"sdp": peer.localDescription.sdp, "type": "offer"}
    address = f"{gateway}/v1/sessions/{session}/offer"
    answer = (await asyncio.to_thread(httpx.post, address, json=offer)).json()
    audio, video = answer["sdp"].split("m=")[1:]
    assert audio.startswith("audio") and "a=inactive" in audio
    assert video.startswith("video") and "a=recvonly" in video
    assert "a=setup:passive" in video  # the offerer is the DTLS client, as GStreamer needs it
    await peer.setRemoteDescription(RTCSessionDescription(answer["sdp"], answer["type"]))
    await tools.eventually(lambda: _of(worker, session))
    await peer.close()


_HEAD = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n"
_VIDEO = (
    "m=video 9 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na=sendonly\r\na=rtcp-mux\r\n"
    "a=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuvwx\r\na=setup:actpass\r\n"
    "a=fingerprint:sha-256 " + ":".join(["AB"] * 32) + "\r\n"
)
_VP8 = "a=rtpmap:96 VP8/90000\r\n"
_HIGH = (
    "a=rtpmap:96 H264/90000\r\n"
    "a=fmtp:96 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=640c1f\r\n"
)


@pytest.mark.parametrize(
    ("sdp", "status", "code"),
    [
        ("", 400, "invalid_offer"),
        ("\x00\x01junk", 400, "invalid_offer"),
        ("v=0", 400, "offer_without_video"),
        (_HEAD, 400, "offer_without_video"),
        (_HEAD + "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\n", 400, "offer_without_video"),
        (_HEAD + "m=video", 400, "invalid_offer"),
        (_HEAD + "m=video 9 UDP/TLS/RTP/SAVPF 96\r\n", 400, "invalid_offer"),
        (_HEAD + "m=video x y z\r\na=mid:0\r\n" + _VP8, 400, "invalid_offer"),
        (_HEAD + _VIDEO + "a=rtpmap:96\r\n", 400, "invalid_offer"),
        (_HEAD + (_VIDEO + _VP8).replace("sendonly", "recvonly"), 400, "offer_without_video"),
        (_HEAD + _VIDEO * 9, 400, "invalid_offer"),
        (_HEAD + _VIDEO + _HIGH, 422, "unsupported_codec"),
        (_HEAD + _VIDEO + _VP8 + "a=x\r\n" * SDP_BYTES, 413, "body_too_large"),
        (_HEAD + _VIDEO + _VP8 + "x" * SDP_BYTES, 413, "offer_too_large"),
    ],
)
async def test_broken_offers_are_refused_in_words(
    gateway: str, tools: Any, sdp: str, status: int, code: str
) -> None:
    session = tools.new_session(gateway)
    address = f"{gateway}/v1/sessions/{session}/offer"
    reply = await asyncio.to_thread(httpx.post, address, json={"sdp": sdp, "type": "offer"})
    assert reply.status_code == status, reply.text
    assert reply.json()["error"]["code"] == code
    assert len(reply.json()["error"]["message"]) > 20
    state = await asyncio.to_thread(httpx.get, f"{gateway}/v1/sessions/{session}")
    assert state.json()["camera"]["state"] == "none"


async def test_mangled_offers_end_in_an_answer_or_in_words() -> None:
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    peer.addTransceiver("video", direction="sendonly")
    await peer.setLocalDescription(await peer.createOffer())
    lines = peer.localDescription.sdp.splitlines()
    await peer.close()
    random = np.random.default_rng(0)
    settings = GatewaySettings()
    outcomes = set()
    for _ in range(60):
        mangled = list(lines)
        for _ in range(random.integers(1, 4)):
            at = int(random.integers(1, len(mangled)))
            match random.integers(4):
                case 0:
                    del mangled[at]
                case 1:
                    mangled[at] = mangled[at][: random.integers(0, len(mangled[at]))]
                case 2:
                    mangled[at] = mangled[at].replace("9", "x").replace(":", " ")
                case _:
                    mangled.insert(at, mangled[int(random.integers(1, len(mangled)))])
        feed = FrameFeed("none", settings, None, (96, 96), 1, lambda message: None)
        camera = Camera(feed, settings, lambda: None)
        try:
            answer = await camera.answer("\r\n".join(mangled) + "\r\n")
            assert answer.startswith("v=0")
            outcomes.add("answered")
        except ClientError as error:
            outcomes.add(error.code)
        await camera.close()
        assert camera.state == "gone"
    assert {"answered", "invalid_offer"} <= outcomes


@pytest.mark.parametrize(
    "body", [{}, {"sdp": "v=0"}, {"sdp": 5, "type": "offer"}, {"sdp": "v=0", "type": "answer"}, []]
)
def test_what_is_no_offer_at_all(gateway: str, tools: Any, body: Any) -> None:
    reply = httpx.post(f"{gateway}/v1/sessions/{tools.new_session(gateway)}/offer", json=body)
    assert (reply.status_code, reply.json()["error"]["code"]) == (422, "invalid_request")


def test_an_offer_to_nobody(gateway: str) -> None:
    reply = httpx.post(f"{gateway}/v1/sessions/none/offer", json={"sdp": "v=0", "type": "offer"})
    assert (reply.status_code, reply.json()["error"]["code"]) == (404, "unknown_session")


async def test_a_broken_offer_leaves_the_camera_that_is_there(
    gateway: str, worker: Any, tools: Any
) -> None:
    session = tools.new_session(gateway)
    async with tools.sending(gateway, session):
        await tools.eventually(lambda: _of(worker, session))
        address = f"{gateway}/v1/sessions/{session}/offer"
        broken = {"sdp": _HEAD + _VIDEO + _HIGH, "type": "offer"}
        assert (await asyncio.to_thread(httpx.post, address, json=broken)).status_code == 422
        before = len(_of(worker, session))
        await tools.eventually(lambda: len(_of(worker, session)) > before + 1)


async def test_an_offer_without_a_way_is_given_up(serve: Callable[..., str], tools: Any) -> None:
    url = serve(connect_seconds=1)
    session = tools.new_session(url)
    async with tools.talking(url, session) as client:
        address = f"{url}/v1/sessions/{session}/offer"
        offer = {"sdp": _HEAD + _VIDEO + _VP8, "type": "offer"}
        assert (await asyncio.to_thread(httpx.post, address, json=offer)).status_code == 200
        gone = await client.until(
            "lookback.camera.updated", lambda e: e["camera"]["state"] == "gone"
        )
    assert "no picture arrived" in gone["camera"]["message"].lower()
