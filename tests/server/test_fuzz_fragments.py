"""Trickled candidates, broken in every way: the connection stays, or says what is wrong."""

import httpx
from hypothesis import given
from hypothesis import strategies as st

from tests.server.fuzzing import campaign, unharmed
from tests.server.mutations import OFFERS, lines

SDP = {"Content-Type": "application/sdp"}
TRICKLE = {"Content-Type": "application/trickle-ice-sdpfrag"}
_OFFER = OFFERS["chromium"]
_LINES = [
    line for line in _OFFER.splitlines()
    if line.startswith(("a=ice-ufrag", "a=ice-pwd", "m=", "a=mid", "a=candidate"))
]  # fmt: skip
_PIECES = [
    "a=candidate:1 1 udp 1 192.0.2.1 9 typ host", "a=candidate:", "a=candidate:1 1 udp x y z typ",
    "a=candidate:1 1 udp 1 ::1%9 65536 typ host", "a=candidate:\u0661 1 udp 1 192.0.2.1 1 typ x",
    "a=candidate:1 1 tcp 1 example.com 9 typ host tcptype", "a=mid:9", "a=mid:", "m=", "a=",
    "a=candidate:1 1 udp 1 ..local 9 typ host", "a=candidate:1 2 udp 1 ::1 9 typ host",
    f"a=candidate:1 1 udp 1 {'x' * 64}.local 9 typ host", "a=candidate:1 1 udp 1 \x00 9 typ host",
    "a=candidate:1 1 udp 1 255.255.255.255 0 typ srflx raddr 0.0.0.0 rport 0 generation",
    "a=ice-ufrag:abcd", "a=ice-pwd:", "a=end-of-candidates", "m=video 9 UDP/TLS/RTP/SAVPF 0",
]  # fmt: skip


def test_no_fragment_does_any_harm(gateway: str) -> None:
    fragments = lines(["\r\n".join(_LINES)], _PIECES).map(str.encode) | st.binary(max_size=99)
    tags = st.sampled_from(("*", "*", "tag", "tag", "", "other")) | st.text(
        "\"'*,W/ab\\", max_size=9
    )
    taken = set()
    with unharmed(gateway) as session, httpx.Client(base_url=gateway, timeout=30) as client:

        @campaign(80)
        @given(st.lists(fragments, min_size=1, max_size=3), tags)
        def trickle(sent: list[bytes], tag: str) -> None:
            begun = client.post(f"/whip/{session}", content=_OFFER, headers=SDP)
            match = begun.headers["etag"] if tag == "tag" else tag
            place, headers = begun.headers["location"], TRICKLE | {"If-Match": match}
            for fragment in sent:
                reply = client.patch(place, content=fragment, headers=headers)
                taken.add(reply.status_code)
                assert reply.status_code in (204, 400, 412, 422), (reply.status_code, reply.text)
            assert client.delete(place).status_code == 200

        trickle()
    assert {204, 400, 412} <= taken, "the mutations are too strong, or too weak"
