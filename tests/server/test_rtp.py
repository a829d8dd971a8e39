"""A gateway takes real RTP, as far as it is its sender's, and frees all when that has gone."""

import asyncio
import base64
import gc
import random
import socket
import struct
import threading
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest

from server.rtp import RtpCamera
from server.rtp_decoder import Decoder
from server.udp import PortRange
from tests.server.ports import free_range
from tests.server.rtp_owner import HTTP, Rtp
from tests.server.rtp_stream import Sender, endless, stream

STALL, RETURN = 0.8, 2.0


@pytest.fixture
def url(serve: Callable[..., str]) -> str:
    return serve(fps=15, keep_every_seconds=0, stall_seconds=STALL, return_seconds=RETURN)


def _free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        try:
            one.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _seen(worker: Any, session: str) -> list[Any]:
    return [frame for frame in list(worker.frames) if frame.session == session]


def _descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def _left() -> tuple[int, int, int]:
    """Descriptors, cameras, tasks."""
    gc.collect()
    things = gc.get_objects()
    cameras = sum(type(thing) is RtpCamera for thing in things)
    tasks = sum(type(thing) is asyncio.Task and not thing.done() for thing in things)
    return _descriptors(), cameras, tasks


def _threads() -> int:
    return sum(thread.name == "rtp decoder" for thread in threading.enumerate())


@pytest.mark.parametrize("codec", ["H264", "VP8"])
async def test_a_sender_publishes_until_it_is_deleted(
    url: str, worker: Any, tools: Any, codec: str
) -> None:
    rtp = Rtp(url, tools.new_session(url), codec=codec)
    assert rtp.state().state == "connecting" and str(rtp.port) in rtp.state().message
    assert rtp.described.rtcp_port == rtp.port + 1 and rtp.port % 2 == 0
    with Sender(rtp.port, endless(codec)):
        await rtp.until("live")
        await tools.eventually(lambda: len(_seen(worker, rtp.session)) > 20)
        counters = rtp.state().counters
        assert counters.packets_received > 50 and counters.packets_lost == 0
        assert rtp.close() == 204 and rtp.close() == 404
    assert _free(rtp.port) and _free(rtp.port + 1) and _threads() == 0
    assert "ended it" in (await rtp.until("gone"))["message"]
    times = [frame.timestamp for frame in _seen(worker, rtp.session)]
    steps = [b - a for a, b in pairwise(times)]
    assert sorted(steps)[len(steps) // 2] == pytest.approx(1 / 15, abs=0.001)


async def test_from_the_midst_of_a_gop_nothing_is_shown_before_a_keyframe(
    url: str, worker: Any, tools: Any
) -> None:
    rtp = Rtp(url, tools.new_session(url))
    frames = endless("H264", begin=1)
    with Sender(rtp.port, [next(frames) for _ in range(14)]):
        camera = await rtp.until("connecting", "waits for a keyframe")
        assert camera["frames_received"] == 0 and not _seen(worker, rtp.session)
    with Sender(rtp.port, frames):  # another port of the same machine
        await rtp.until("live")


async def test_a_sender_that_vanishes_is_stalled_and_may_return(url: str, tools: Any) -> None:
    rtp = Rtp(url, tools.new_session(url))
    with Sender(rtp.port, endless("H264")):
        await rtp.until("live")
    gone = time.monotonic()
    camera = await rtp.until("stalled")
    assert STALL - 0.2 < time.monotonic() - gone < 5
    with Sender(rtp.port, endless("H264", ssrc=8, sequence=3, size=(96, 64))):
        back = await rtp.until("live")
        assert back["frames_received"] > camera["frames_received"] and back["message"] == ""
    await rtp.until("gone", "nothing came")
    assert _free(rtp.port) and _threads() == 0


def _fragile(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Decoders fail as often as the returned list says, not by what is sent."""
    decode, left = Decoder._decode, [0]

    def fails(self: Decoder, context: Any, frame: Any) -> bool:
        if left[0]:
            left[0] -= 1
            raise MemoryError("no room for a picture")
        return decode(self, context, frame)

    monkeypatch.setattr(Decoder, "_decode", fails)
    return left


async def test_a_decoder_that_fails_is_told_and_begins_anew_or_ends_the_camera(
    url: str, tools: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = _fragile(monkeypatch)
    rtp = Rtp(url, tools.new_session(url))
    frames = endless("H264")
    with Sender(rtp.port, frames):
        await rtp.until("live")
        failures[0] = 1
        await tools.eventually(lambda: not failures[0])
    with Sender(rtp.port, [next(frames) for _ in range(3)]):  # and no keyframe of them
        camera = await rtp.until("stalled")
    with Sender(rtp.port, frames):
        back = await rtp.until("live")
        assert back["frames_received"] > camera["frames_received"]
        failures[0] = 1000
        ended = await rtp.until("gone")
        assert "the gateway's decoder failed on its stream" in ended["message"]
        assert "3 times in a row" in ended["message"]
    assert _free(rtp.port) and _threads() == 0


async def test_a_restarted_sender_goes_on_at_once(url: str, worker: Any, tools: Any) -> None:
    rtp = Rtp(url, tools.new_session(url), codec="VP8")
    frames = endless("VP8")
    begin = [next(frames) for _ in range(30)]
    again = endless("VP8", ssrc=99, sequence=60_000, size=(96, 64))
    with Sender(rtp.port, [*begin, *(next(again) for _ in range(60))]):
        await tools.eventually(lambda: rtp.camera()["frames_received"] > 80)
    times = [frame.timestamp for frame in _seen(worker, rtp.session)]
    assert times == sorted(times) and times[-1] < 10


async def test_a_stranger_cannot_send(url: str, tools: Any) -> None:
    rtp = Rtp(url, tools.new_session(url))
    with Sender(rtp.port, endless("H264")):
        await rtp.until("live")
        with Sender(rtp.port, endless("H264", ssrc=7), source="127.0.0.2"):
            await tools.eventually(lambda: rtp.state().counters.packets_refused > 50)
        state = rtp.state()
        assert state.state == "live" and state.counters.packets_lost == 0


async def test_only_the_source_can_send(url: str, tools: Any) -> None:
    rtp = Rtp(url, tools.new_session(url), source="127.0.0.2")
    with Sender(rtp.port, endless("H264")):
        await rtp.until("connecting", "comes from 127.0.0.1")
        with Sender(rtp.port, endless("H264"), source="127.0.0.2"):
            await rtp.until("live")


async def test_what_is_not_of_the_stream_is_counted(url: str, tools: Any) -> None:
    rtp = Rtp(url, tools.new_session(url), payload_type=101)
    with Sender(rtp.port, endless("H264", payload_type=100)) as sender:
        await rtp.until("connecting", "payload type 100, not 101")
        with Sender(rtp.port, endless("H264", payload_type=101)):
            await rtp.until("live")
            sender.send(b"junk", *stream("H264").reports[:1])
            await tools.eventually(lambda: rtp.state().counters.packets_malformed == 1)
            assert rtp.state().state == "live" and rtp.state().counters.packets_ignored > 10


@pytest.mark.parametrize("mux", [True, False])
async def test_a_goodbye_ends_it(url: str, tools: Any, mux: bool) -> None:
    rtp = Rtp(url, tools.new_session(url))
    bye = struct.pack(">BBHI", 0x81, 203, 1, 7)
    to = rtp.port if mux else rtp.port + 1
    with Sender(rtp.port, endless("H264")), Sender(to, []) as control:
        await rtp.until("live")
        control.send(struct.pack(">BBHI", 0x81, 203, 1, 8))  # of somebody else
        with Sender(to, [], source="127.0.0.2") as stranger:
            stranger.send(bye)
        await asyncio.sleep(0.1)
        assert rtp.state().state == "live"
        control.send(bye)
        await rtp.until("gone", "goodbye")
    assert _free(rtp.port) and _threads() == 0


async def test_missing_parameter_sets_are_asked_for_and_taken_from_the_sdp(
    url: str, tools: Any
) -> None:
    rtp = Rtp(url, tools.new_session(url))
    with Sender(rtp.port, endless("H264", headers=False)):
        await rtp.until("connecting", "config-interval")
    sent = stream("H264")  # the same encoder, so the same sets
    aggregate = next(p[12:] for p in sent.packets if p[12] & 0x1F == 24)
    size = int.from_bytes(aggregate[1:3], "big")
    sps, rest = aggregate[3 : 3 + size], aggregate[3 + size :]
    pps = rest[2 : 2 + int.from_bytes(rest[:2], "big")]
    sprop = ",".join(base64.b64encode(unit).decode() for unit in (sps, pps))
    sdp = (
        "v=0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"
        f"a=fmtp:96 packetization-mode=1;sprop-parameter-sets={sprop}\r\n"
    )
    rtp = Rtp(url, rtp.session, sdp=sdp)
    with Sender(rtp.port, endless("H264", headers=False)):
        await rtp.until("live")


async def test_two_sessions_have_their_own(url: str, worker: Any, tools: Any) -> None:
    one, other = (Rtp(url, tools.new_session(url), codec=c) for c in ("H264", "VP8"))
    with Sender(one.port, endless("H264")), Sender(other.port, endless("VP8")):
        for rtp in (one, other):
            await rtp.until("live")
        assert one.close() == 204
        before = len(_seen(worker, other.session))
        await tools.eventually(lambda: len(_seen(worker, other.session)) > before + 5)


async def test_another_camera_takes_its_place(url: str, tools: Any) -> None:
    session = tools.new_session(url)
    first = Rtp(url, session)
    second = Rtp(url, session)
    assert second.port != first.port and _free(first.port) and first.close() == 404
    async with tools.sending(url, session):
        await second.until("live")
        assert _free(second.port) and second.close() == 404


async def test_ports_come_from_the_range(serve: Callable[..., str], tools: Any) -> None:
    three = free_range(4)
    begin = three.first + three.first % 2
    url = serve(udp_ports=PortRange(begin, begin + 2))
    pair, single = (Rtp(url, tools.new_session(url)) for _ in range(2))
    assert {pair.port, pair.described.rtcp_port, single.port} == {begin, begin + 1, begin + 2}
    assert single.described.rtcp_port is msgspec.UNSET and "a=rtcp:" not in single.described.sdp
    session = tools.new_session(url)
    full = await asyncio.to_thread(HTTP.post, f"{url}/v1/sessions/{session}/rtp")
    assert (full.status_code, full.json()["error"]["code"]) == (503, "no_udp_port")
    assert int(full.headers["Retry-After"]) > 0
    assert single.close() == 204
    assert Rtp(url, session).port == begin + 2


async def test_closing_the_session_frees_everything(url: str, tools: Any) -> None:
    rtp = Rtp(url, tools.new_session(url))
    with Sender(rtp.port, endless("H264")):
        await rtp.until("live")
        assert rtp.close_session() == 204
    assert _free(rtp.port) and _threads() == 0


async def test_the_port_keeps_the_session(serve: Callable[..., str], tools: Any) -> None:
    url = serve(return_seconds=1.5, orphan_seconds=0.3)
    rtp = Rtp(url, tools.new_session(url))
    await asyncio.sleep(1.0)
    assert rtp.state().state == "connecting"
    gone = f"{url}/v1/sessions/{rtp.session}"
    await tools.eventually(lambda: HTTP.get(gone).status_code == 404, 10)
    assert _free(rtp.port)


async def test_thirty_senders_leave_nothing_behind(url: str, tools: Any) -> None:
    session = tools.new_session(url)

    async def once(watched: bool) -> None:
        rtp = Rtp(url, session)
        with Sender(rtp.port, endless("H264"), speed=20):
            if watched:
                await rtp.until("live")
        assert rtp.close() == 204

    for _ in range(3):
        await once(watched=True)
    before = _left()
    for number in range(30):
        await once(watched=number % 5 == 0)
    assert _threads() == 0
    await tools.eventually(
        lambda: all(now <= then + 2 for now, then in zip(_left(), before, strict=True)), 15
    )


async def test_a_flood_of_junk_stops_nobody_else(serve: Callable[..., str], tools: Any) -> None:
    url = serve()
    flooded, other = (Rtp(url, tools.new_session(url)) for _ in range(2))
    ended = threading.Event()

    def flood() -> None:
        chance = random.Random(0)
        junk = [chance.randbytes(chance.randrange(1400)) for _ in range(100)]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
            while not ended.is_set():
                for datagram in junk:
                    one.sendto(datagram, ("127.0.0.1", flooded.port))
                time.sleep(0.002)

    flooding = threading.Thread(target=flood)
    flooding.start()
    try:
        with Sender(other.port, endless("H264"), speed=1):
            await other.until("live")
            before = other.camera()["frames_received"]
            await asyncio.sleep(2)
            assert other.camera()["frames_received"] - before > 20
            assert other.state().counters.packets_lost == 0
        assert flooded.state().counters.packets_malformed > 1000
        assert flooded.state().state == "connecting"
    finally:
        ended.set()
        flooding.join()
    with Sender(flooded.port, endless("H264")):
        await flooded.until("live")
