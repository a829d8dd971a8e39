"""What WHIP refuses and in which words, and what it tells of itself."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import hypothesis
import pytest
from hypothesis import strategies as st

from server.app import GatewayError, create_app
from server.camera import Camera
from server.errors import ClientError
from server.feed import FrameFeed
from server.settings import GatewaySettings, IceServer
from server.whip import read_fragment
from tests.server.whip_sender import (
    AUDIO,
    GOOD,
    HEAD,
    OPUS,
    TRICKLE,
    VIDEO,
    VP8,
    h264,
    post,
)

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
    (HEAD + VIDEO + h264("4d001f"), 422, "unsupported_codec"),
    (HEAD + VIDEO + h264("640c1f"), 422, "unsupported_codec"),
    (HEAD + VIDEO + "a=rtpmap:96 H265/90000\r\n", 422, "unsupported_codec"),
    (GOOD + "a=x\r\n" * 14000, 413, "body_too_large"),
]


async def test_what_cannot_be_taken_is_refused_in_words(gateway: str, tools: Any) -> None:
    session = tools.new_session(gateway)
    for sdp, status, code in _REFUSED:
        reply = await asyncio.to_thread(post, gateway, session, sdp)
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
        reply = post(gateway, session, **{"Content-Type": kind})
        assert (reply.status_code, reply.json()["error"]["code"]) == (415, "unsupported_media_type")
        assert "application/sdp" in reply.json()["error"]["message"]
    kind = "Application/SDP; charset=utf-8"
    assert post(gateway, session, **{"Content-Type": kind}).status_code == 201
    assert post(gateway, session, GOOD.replace("\r\n", "\n")).status_code == 201


def test_only_sessions_that_were_made_can_be_published_to(gateway: str, tools: Any) -> None:
    reply = post(gateway, "my-stream", "broken")
    assert (reply.status_code, reply.json()["error"]["code"]) == (404, "unknown_session")
    assert "POST /v1/sessions" in reply.json()["error"]["message"]
    session = tools.new_session(gateway)
    for where in (f"{session}/guessed", "my-stream/guessed", f"{session}/%F0%9F%98%80"):
        for method in ("PATCH", "DELETE"):
            reply = httpx.request(
                method, f"{gateway}/whip/{where}", headers=TRICKLE | {"If-Match": "*"}
            )
            assert reply.status_code == 404
    assert post(gateway, session).status_code == 201
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


async def test_a_full_gateway_says_when_to_come_again(
    serve: Callable[..., str], tools: Any
) -> None:
    url = serve(most_cameras=1, connect_seconds=1)
    one, other = tools.new_session(url), tools.new_session(url)
    assert post(url, one).status_code == 201
    assert post(url, one).status_code == 201  # in the place of the first
    full = post(url, other)
    assert (full.status_code, full.json()["error"]["code"]) == (503, "too_many_cameras")
    assert int(full.headers["retry-after"]) >= 1
    address, offer = f"{url}/v1/sessions/{other}/offer", {"sdp": GOOD, "type": "offer"}
    assert (await asyncio.to_thread(httpx.post, address, json=offer)).status_code == 503
    await tools.eventually(lambda: post(url, other).status_code == 201)  # the first has gone


def test_ice_servers_are_told(serve: Callable[..., str], tools: Any) -> None:
    urls = ("turn:turn.example:3478?transport=udp", "turns:turn.example:443?transport=tcp")
    servers = (
        {"urls": urls, "username": "1999:me", "credential": 's3+/="\\'},
        {"urls": ("stun:s",)},
    )
    url = serve(ice_servers=servers)
    reply = post(url, tools.new_session(url))
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
