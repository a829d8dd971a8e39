"""A camera connects by WebRTC, is watched over, and its frames reach the worker and no queue."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import pytest
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import AudioStreamTrack

from broker.connection import connect
from messages import keys
from server.camera import Camera
from server.errors import ClientError
from server.feed import FrameFeed
from server.sdp import SDP_BYTES
from server.settings import GatewaySettings


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


async def test_the_camera_goes_live_stalls_and_goes(serve: Callable[..., str], tools: Any) -> None:
    url = serve(stall_seconds=1)
    session = tools.new_session(url)

    def is_in(state: str) -> Callable[[Any], bool]:
        return lambda event: event["camera"]["state"] == state

    async with tools.talking(url, session) as client:
        async with tools.sending(url, session) as track:
            await client.until("lookback.camera.updated", is_in("connecting"))
            await client.until("lookback.camera.updated", is_in("live"))
            track.going.clear()
            await client.until("lookback.camera.updated", is_in("stalled"))
            track.going.set()
            await client.until("lookback.camera.updated", is_in("live"))
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


async def test_cameras_that_have_gone_leave_nothing_behind(
    serve: Callable[..., str], worker: Any, tools: Any
) -> None:
    url = serve(stall_seconds=1)

    async def once() -> None:
        session = tools.new_session(url)
        async with tools.sending(url, session):
            await tools.eventually(lambda: _of(worker, session))
        reply = await asyncio.to_thread(httpx.delete, f"{url}/v1/sessions/{session}")
        assert reply.status_code == 204

    def open_files() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    await once()
    before = open_files()
    for _ in range(5):
        await once()
    await tools.eventually(lambda: open_files() <= before + 4)
