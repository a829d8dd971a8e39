"""Senders publish by WHIP: they come as OBS and aiortc do, trickle, return, and say goodbye."""

import asyncio
import gc
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
from aiortc import RTCPeerConnection

from messages.sessions import CloseSession
from tests.server.whip_sender import (
    HEAD,
    TRICKLE,
    VIDEO,
    frames_of,
    h264,
    post,
    publishing,
)


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
    async with publishing(gateway, session, track, shape=_as_obs, **options) as sender:
        assert re.fullmatch(rf"/whip/{session}/[\w-]{{20,}}", sender.reply.headers["location"])
        assert re.fullmatch(r'"\w+"', sender.reply.headers["etag"])
        assert sender.reply.headers["content-type"] == "application/sdp"
        assert "link" not in sender.reply.headers
        audio, video = sender.reply.text.split("m=")[1:]
        assert "a=inactive" in audio and "a=recvonly" in video and "H264" in video
        assert "a=candidate:" in sender.reply.text and "a=end-of-candidates" in sender.reply.text
        await tools.eventually(lambda: len(frames_of(worker, session)) > 1)
        done = await sender.request("DELETE", headers={"Authorization": "Bearer some-stream-key"})
        assert done.status_code == 200


async def test_deleting_frees_at_once_and_the_session_stays(
    gateway: str, worker: Any, tools: Any
) -> None:
    session = tools.new_session(gateway)
    async with tools.talking(gateway, session) as client:
        async with publishing(gateway, session, tools.MovingPicture(20, (160, 120))) as sender:
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
    async with publishing(gateway, session, track, shape=without) as sender:
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
        await tools.eventually(lambda: len(frames_of(worker, session)) > 1)


async def test_a_later_sender_takes_the_place(gateway: str, worker: Any, tools: Any) -> None:
    session = tools.new_session(gateway)
    track = tools.MovingPicture(20, (160, 120))
    async with publishing(gateway, session, track) as first:
        await tools.eventually(lambda: frames_of(worker, session))
        refused = await asyncio.to_thread(post, gateway, session, HEAD + VIDEO + h264("640c1f"))
        assert refused.status_code == 422  # and the first goes on
        assert (
            await first.request("PATCH", headers=TRICKLE | {"If-Match": "*"})
        ).status_code == 204
        async with publishing(gateway, session, tools.MovingPicture(20, (90, 160))) as second:
            assert second.resource != first.resource
            assert (await first.request("DELETE")).status_code == 404
            before = len(frames_of(worker, session))
            await tools.eventually(lambda: len(frames_of(worker, session)) > before + 1)
            async with tools.sending(gateway, session):  # by the browser's way
                assert (await second.request("DELETE")).status_code == 404


async def test_a_session_lives_while_its_sender_is_there(
    serve: Callable[..., str], worker: Any, tools: Any
) -> None:
    """Without anybody who listens, through a pause, and a while after the sender is lost."""
    url = serve(stall_seconds=0.5, orphan_seconds=1, return_seconds=3)
    session = tools.new_session(url)
    track = tools.MovingPicture(20, (160, 120))
    async with publishing(url, session, track, audio=False):
        await tools.eventually(lambda: frames_of(worker, session))
        track.going.clear()  # it still reports, every half to one and a half seconds
        await asyncio.sleep(4)
        state = (await asyncio.to_thread(httpx.get, f"{url}/v1/sessions/{session}")).json()
        assert state["camera"]["state"] in ("live", "stalled")  # by its latest report
    await asyncio.sleep(1.3)
    async with publishing(url, session, tools.MovingPicture(20, (160, 120)), audio=False):
        seen = len(frames_of(worker, session))
        await tools.eventually(lambda: len(frames_of(worker, session)) > seen)
    left = time.monotonic()
    await tools.eventually(lambda: worker.of(CloseSession, session))
    assert time.monotonic() - left > 1.2


async def test_a_session_ends_soon_after_its_sender_said_goodbye(
    serve: Callable[..., str], worker: Any, tools: Any
) -> None:
    url = serve(orphan_seconds=1, return_seconds=60)
    session = tools.new_session(url)
    async with publishing(url, session, tools.MovingPicture(20, (160, 120))) as sender:
        await tools.eventually(lambda: frames_of(worker, session))
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
        async with publishing(gateway, session, track, audio=False) as sender:
            await tools.eventually(lambda: sender.peer.connectionState == "connected")
            assert (await sender.request("DELETE")).status_code == 200

    await once()
    files, peers = left()
    for _ in range(30):
        await once()
    await tools.eventually(lambda: left()[0] <= files + 2 and left()[1] <= peers + 2, 15)
