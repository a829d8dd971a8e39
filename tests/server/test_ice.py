"""STUN and TURN servers: what is told, and media that a real TURN server relays."""

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiortc import RTCConfiguration, RTCIceServer, RTCPeerConnection, RTCSessionDescription
from aiortc.rtcconfiguration import RTCIceTransportPolicy

from server.ice import IceServers, credentials
from server.settings import GatewaySettings
from tests.server.clients import MovingPicture
from tests.server.coturn import Coturn, coturn
from tests.server.keyed import bearer, keyed

SECRET = "north-by-northwest"


@pytest.fixture(scope="module")
def turn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Coturn]:
    options = ("--use-auth-secret", f"--static-auth-secret={SECRET}")
    with coturn(tmp_path_factory.mktemp("coturn"), *options) as running:
        yield running


def test_time_limited_credentials_are_what_coturn_expects() -> None:
    # printf 1700000000:robot-1 | openssl dgst -sha1 -hmac north -binary | base64
    expected = ("1700000000:robot-1", "YDS3NKNPK3krsSEN42ccbUK2Fh0=")
    assert credentials("north", "robot-1", 1700000000) == expected
    assert credentials("north", 'a b:"\r\nc', 1)[0] == "1:a_b____c"


def test_none_are_asked_that_were_not_named() -> None:
    ice = IceServers(GatewaySettings())
    assert (ice.told("x"), ice.links("x"), ice.own(), ice.seconds) == ([], [], [], None)


def test_static_and_time_limited_ones_stand_side_by_side() -> None:
    server = {"urls": ["stun:s", "turn:t:1?transport=tcp"], "username": "me", "credential": 'a"b'}
    urls = "turn:a:3478, turns:b:5349"
    settings = GatewaySettings(ice_servers=(server,), turn_urls=urls, turn_secret=SECRET)  # type: ignore[arg-type]
    ice = IceServers(settings)
    static, limited = ice.told("robot-1")
    assert static == server
    assert limited["urls"] == ["turn:a:3478", "turns:b:5349"]
    assert re.fullmatch(r"\d{10}:robot-1", limited["username"])
    links = ice.links("robot-1")
    assert len(links) == 4 and links[3].startswith('<turns:b:5349>; rel="ice-server"; username="')
    assert r'credential="a\"b"' in links[1]
    own = ice.own()
    assert [each.urls for each in own] == [["turn:t:1?transport=tcp"], limited["urls"]]
    assert own[1].username.endswith(":gateway")
    assert SECRET not in repr(settings) + str(ice.told("x"))


@pytest.mark.parametrize(
    "settings",
    [
        {"turn_urls": "turn:a"},
        {"turn_secret": SECRET},
        {"ice_servers": ({"urls": ["turn:a"], "username": "u"},)},
        {"ice_servers": ({"urls": ["turn:a"], "username": "ü", "credential": SECRET},)},
        {"turn_urls": "stun:a", "turn_secret": SECRET},
        {"turn_urls": "a", "turn_secret": SECRET},
    ],
)
def test_half_of_it_is_refused_and_no_secret_repeated(settings: Any) -> None:
    with pytest.raises(ValueError, match=r"TURN|ICE|turn|ice") as refused:
        IceServers(GatewaySettings(**settings))
    assert SECRET not in str(refused.value)


async def _publish(url: str, session: str, said: dict[str, str], server: RTCIceServer) -> Any:
    """A sender that only a relay reaches; it, and the answer."""
    configuration = RTCConfiguration([server], iceTransportPolicy=RTCIceTransportPolicy.RELAY)
    peer = RTCPeerConnection(configuration)
    peer.addTransceiver(MovingPicture(20, (160, 120)), direction="sendonly")
    await peer.setLocalDescription(await peer.createOffer())
    sdp = peer.localDescription.sdp
    types = set(re.findall(r"typ (\w+)", sdp))
    assert types == {"relay"}, "the TURN server did not take its credentials"
    async with httpx.AsyncClient(headers=said) as http:
        offer = {"sdp": sdp, "type": "offer"}
        reply = await http.post(f"{url}/v1/sessions/{session}/offer", json=offer)
    assert reply.status_code == 200, reply.text
    return peer, reply.json()["sdp"]


async def test_a_camera_that_only_a_relay_reaches(
    turn: Coturn, broker_url: str, tmp_path: Path, tools: Any
) -> None:
    with keyed(broker_url, tmp_path, turn_urls=turn.url, turn_secret=SECRET) as gateway:
        session = gateway.session()
        said = bearer(gateway.token(session, scopes=["publish"]))
        async with httpx.AsyncClient(headers=said) as http:
            (told,) = (await http.get(f"{gateway.url}/v1/ice-servers")).json()["ice_servers"]
        peer, answer = await _publish(gateway.url, session, said, RTCIceServer(**told))
        try:
            # Only the gateway's relay is told on: both ends are behind the server.
            relays = re.findall(r"a=candidate:.* (\d+) typ relay", answer)
            assert [int(port) in turn.relays for port in relays] == [True]
            relayed = re.sub(r"a=candidate:.* typ host\r\n", "", answer)
            await peer.setRemoteDescription(RTCSessionDescription(relayed, "answer"))
            address = f"{gateway.url}/v1/sessions/{session}"
            camera = {"frames_sent": 0}
            async with httpx.AsyncClient(headers=said) as http, asyncio.timeout(30):
                while camera["frames_sent"] < 2:
                    await asyncio.sleep(0.1)
                    camera = (await http.get(address)).json()["camera"]
        finally:
            await peer.close()
    assert re.search(r"username=<\d+:all>", turn.said)
    assert re.search(r"username=<\d+:gateway>", turn.said)
    assert SECRET not in turn.said


async def test_a_turn_server_that_refuses_us_keeps_no_camera_out(
    turn: Coturn, serve: Any, tools: Any, caplog: pytest.LogCaptureFixture
) -> None:
    url = serve(turn_urls=turn.url, turn_secret="another secret")
    session = tools.new_session(url)
    async with tools.sending(url, session):
        await tools.eventually(
            lambda: httpx.get(f"{url}/v1/sessions/{session}").json()["camera"]["frames_sent"]
        )
    assert "TURN server gave no address" in caplog.text


async def test_a_static_secret_works_as_well(
    tmp_path: Path, broker_url: str, worker: Any, tools: Any
) -> None:
    with coturn(tmp_path, "--lt-cred-mech", "--user=me:static-secret") as turn:
        server = {"urls": [turn.url], "username": "me", "credential": "static-secret"}
        with tools.serving(broker_url=broker_url, ice_servers=(server,)) as url:
            session = tools.new_session(url)
            peer, answer = await _publish(url, session, {}, RTCIceServer(**server))
            await peer.close()
        assert "typ relay" in answer
