"""Connections take ports of the range, and senders are told the addresses that reach us."""

import asyncio
import contextlib
import re
import socket
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from aiortc import RTCConfiguration, RTCPeerConnection

from server.camera import Camera
from server.errors import ServiceError
from server.feed import FrameFeed
from server.gathering import announced
from server.settings import GatewaySettings
from server.udp import PortRange, open_sockets
from tests.server.ports import free_range


async def _offer() -> str:
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    peer.addTransceiver("video", direction="sendonly")
    await peer.setLocalDescription(await peer.createOffer())
    sdp: str = peer.localDescription.sdp
    await peer.close()
    return sdp


def _candidates(sdp: str) -> set[tuple[str, int]]:
    found = re.findall(r"^a=candidate:\S+ \d \w+ \d+ (\S+) (\d+)", sdp, flags=re.MULTILINE)
    return {(address, int(port)) for address, port in found}


def _camera(settings: GatewaySettings) -> Camera:
    feed = FrameFeed("none", settings, None, (96, 96), 1, lambda message: None)
    return Camera(feed, settings, lambda: None)


async def test_connections_stay_in_the_range_and_free_it() -> None:
    ports = free_range(10)
    settings = GatewaySettings(udp_ports=ports)
    offer = await _offer()
    cameras = []
    taken: set[tuple[str, int]] = set()
    for _ in range(10):
        cameras.append(_camera(settings))
        found = _candidates(await cameras[-1].answer(offer))
        assert found and not found & taken
        assert all(ports.first <= port <= ports.last for _, port in found)
        taken |= found
    with pytest.raises(ServiceError, match="LOOKBACK_UDP_PORTS") as full:
        await _camera(settings).answer(offer)
    assert full.value.status == 503 and full.value.retry_after
    await cameras.pop().close()
    again = _camera(settings)
    assert _candidates(await again.answer(offer)) <= taken
    for camera in [*cameras, again]:
        await camera.close()
    for address, port in taken:
        open_sockets(address, PortRange(port, port))[0].close()


async def test_a_camera_arrives_through_the_range(
    serve: Callable[..., str], worker: Any, tools: Any
) -> None:
    ports = free_range(2)
    url = serve(udp_ports=ports)
    session = tools.new_session(url)
    async with tools.sending(url, session):
        await tools.eventually(lambda: any(f.session == session for f in list(worker.frames)))


async def test_an_exhausted_range_is_told_to_the_sender(
    serve: Callable[..., str], tools: Any
) -> None:
    ports = free_range(1)
    url = serve(udp_ports=ports)
    session = tools.new_session(url)
    with _taking(ports.first):
        reply = await asyncio.to_thread(
            httpx.post,
            f"{url}/whip/{session}",
            content=await _offer(),
            headers={"Content-Type": "application/sdp"},
        )
    assert (reply.status_code, reply.json()["error"]["code"]) == (503, "no_udp_port")
    assert int(reply.headers["retry-after"]) > 0
    state = await asyncio.to_thread(httpx.get, f"{url}/v1/sessions/{session}")
    assert state.json()["camera"]["state"] == "none"


@contextlib.contextmanager
def _taking(port: int) -> Iterator[None]:
    """Nobody else gets this port, at whatever address."""
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as taken:
        taken.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        taken.bind(("::", port))
        yield


async def test_the_answer_announces_the_address_that_reaches_us() -> None:
    camera = _camera(GatewaySettings(media_address=("203.0.113.7", "198.51.100.8")))
    answer = await camera.answer(await _offer())
    assert {address for address, _ in _candidates(answer)} == {"203.0.113.7", "198.51.100.8"}
    assert "c=IN IP4 203.0.113.7\r\n" in answer
    assert all(port >= 1024 for _, port in _candidates(answer))
    await camera.close()


_TWO = (
    "v=0\r\nm=video 5000 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 172.17.0.2\r\n"
    "a=candidate:aa 1 udp 2130706431 172.17.0.2 5000 typ host\r\n"
    "a=candidate:bb 1 udp 2130706431 172.18.0.2 5000 typ host\r\n"
    "a=candidate:cc 1 udp 2130706431 fd00::2 5001 typ host\r\na=end-of-candidates\r\n"
)


def test_only_what_can_be_reached_is_told_and_once() -> None:
    told = announced(_TWO, ["203.0.113.7"])
    assert _candidates(told) == {("203.0.113.7", 5000)}
    assert told.count("a=candidate:") == 1 and told.endswith("a=end-of-candidates\r\n")
    both = announced(_TWO, ["203.0.113.7", "2001:db8::7"])
    assert _candidates(both) == {("203.0.113.7", 5000), ("2001:db8::7", 5001)}


def test_without_a_candidate_of_the_family_ours_are_told(caplog: pytest.LogCaptureFixture) -> None:
    only_six = "\r\n".join(line for line in _TWO.split("\r\n") if "udp 2130706431 17" not in line)
    assert announced(only_six, ["203.0.113.7"]) == only_six
    assert "203.0.113.7" in caplog.text
    assert announced(_TWO, []) == _TWO
