"""What is asked for an RTP port is checked, and what is answered can be used."""

from collections.abc import Callable
from typing import Any

import httpx
import msgspec
import pytest

from server.replies import RtpPort
from server.rtp_routes import reachable
from server.rtp_sdp import RtpFormat, read
from server.settings import GatewaySettings


async def test_the_answer_says_where_to_send_what(gateway: str, tools: Any) -> None:
    async with httpx.AsyncClient(base_url=gateway) as client:
        path = f"/v1/sessions/{tools.new_session(gateway)}/rtp"
        reply = await client.post(path)
        plain = msgspec.convert(reply.json(), RtpPort)
        assert (plain.host, plain.codec, plain.payload_type) == ("127.0.0.1", "H264", 96)
        assert f"m=video {plain.port} RTP/AVP 96\r\n" in plain.sdp
        wanted = {"codec": "VP8", "payload_type": 120, "source": "::ffff:127.0.0.1"}
        other = msgspec.convert((await client.post(path, json=wanted)).json(), RtpPort)
        assert read(other.sdp, None, None) == RtpFormat("VP8", 120)
        again = msgspec.convert((await client.post(path, json={"sdp": other.sdp})).json(), RtpPort)
        assert (again.codec, again.payload_type) == ("VP8", 120)


@pytest.mark.parametrize(
    ("wanted", "code"),
    [
        ({"codec": "H265"}, "invalid_request"),
        ({"payload_type": 128}, "invalid_request"),
        ({"payload_type": "96"}, "invalid_request"),
        ({"payload_type": 72}, "invalid_payload_type"),
        ({"source": "camera.example"}, "invalid_source"),
        ({"source": ""}, "invalid_source"),
        ({"sdp": "hello"}, "invalid_sdp"),
        ({"sdp": "v=0\n" * 20_000}, "invalid_request"),
        ({"port": 5004}, "invalid_request"),
        ([], "invalid_request"),
    ],
)
async def test_what_cannot_be_is_refused_and_changes_nothing(
    gateway: str, tools: Any, wanted: Any, code: str
) -> None:
    async with httpx.AsyncClient(base_url=gateway) as client:
        at = f"/v1/sessions/{tools.new_session(gateway)}"
        kept = (await client.post(f"{at}/rtp")).json()["id"]
        refused = await client.post(f"{at}/rtp", json=wanted)
        assert (refused.status_code, refused.json()["error"]["code"]) == (422, code)
        assert (await client.get(f"{at}/rtp/{kept}")).status_code == 200


async def test_who_is_not_there_is_not_found(gateway: str, tools: Any) -> None:
    async with httpx.AsyncClient(base_url=gateway) as client:
        assert (await client.post("/v1/sessions/none/rtp")).status_code == 404
        at = f"/v1/sessions/{tools.new_session(gateway)}/rtp"
        for name in ("none", "%FF%FE", "é"):
            for method in ("GET", "DELETE"):
                reply = await client.request(method, f"{at}/{name}")
                assert (reply.status_code, reply.json()["error"]["code"]) == (404, "unknown_camera")


async def test_no_more_cameras_than_may_be(serve: Callable[..., str], tools: Any) -> None:
    url = serve(most_cameras=1)
    one, other = (f"/v1/sessions/{tools.new_session(url)}/rtp" for _ in range(2))
    async with httpx.AsyncClient(base_url=url) as client:
        assert (await client.post(one)).status_code == 201
        full = await client.post(other)
        assert full.status_code == 503 and full.json()["error"]["code"] == "too_many_cameras"
        assert (await client.post(one)).status_code == 201


async def test_an_address_that_is_not_ours_is_told(serve: Callable[..., str], tools: Any) -> None:
    url = serve(rtp_host="192.0.2.1")
    async with httpx.AsyncClient(base_url=url) as client:
        reply = await client.post(f"/v1/sessions/{tools.new_session(url)}/rtp")
    assert (reply.status_code, reply.json()["error"]["code"]) == (503, "no_udp_address")
    assert "LOOKBACK_RTP_HOST" in reply.json()["error"]["message"]


async def test_where_all_addresses_are_listened_at_a_usable_one_is_told(
    serve: Callable[..., str], tools: Any
) -> None:
    url = serve(rtp_host="0.0.0.0")
    async with httpx.AsyncClient(base_url=url) as client:
        reply = await client.post(f"/v1/sessions/{tools.new_session(url)}/rtp")
    assert reply.json()["host"] == "127.0.0.1"


@pytest.mark.parametrize(
    ("address", "media", "asked", "told"),
    [
        ("10.0.0.7", (), "gateway.example", "10.0.0.7"),
        ("10.0.0.7", ("203.0.113.7",), "10.0.0.7", "203.0.113.7"),
        ("10.0.0.7", ("2001:db8::7", "203.0.113.7"), None, "203.0.113.7"),
        ("::", ("2001:db8::7",), None, "2001:db8::7"),
        ("0.0.0.0", (), "192.168.1.5", "192.168.1.5"),
        ("0.0.0.0", (), "gateway.example", "gateway.example"),
        ("0.0.0.0", (), "localhost", "127.0.0.1"),
        ("::", (), "localhost", "::1"),
        ("::", (), "2001:db8::7", "2001:db8::7"),
        ("0.0.0.0", (), "a b\r\nm=video", "127.0.0.1"),
        ("0.0.0.0", (), "::1\r\nm=video", "127.0.0.1"),
        ("0.0.0.0", (), None, "127.0.0.1"),
    ],
)
def test_the_address_that_a_sender_is_told(
    address: str, media: tuple[str, ...], asked: str | None, told: str
) -> None:
    assert reachable(address, GatewaySettings(media_address=media), asked) == told
