"""Offers of real programs, broken in every way, by both roads a camera can come."""

from collections.abc import Callable

import httpx
from hypothesis import given
from hypothesis import strategies as st

from tests.server.fuzzing import campaign, unharmed
from tests.server.mutations import OFFERS, damaged, lines

SDP = {"Content-Type": "application/sdp"}
_PIECES = [
    "m=video 9 UDP/TLS/RTP/SAVPF", "m=video 99999999999999999999 UDP/TLS/RTP/SAVPF 96", "m=",
    "m=video 9 RTP/AVP 96", "m=application 9 UDP/DTLS/SCTP webrtc-datachannel", "m=audio 0 - 0",
    "m=video 0 UDP/TLS/RTP/SAVPF 96", "a=group:BUNDLE 0 0 7", "a=group:BUNDLE", "a=mid:", "a=mid:é",
    "a=rtpmap:96", "a=rtpmap:96 VP8", "a=rtpmap:-1 VP8/90000", "a=rtpmap:96 VP8/0/0/0",
    "a=rtpmap:96 H264/1e9", "a=fmtp:96", "a=fmtp:96 profile-level-id", "a=fmtp:96 apt=96",
    "a=fmtp:96 profile-level-id=zzzzzz", "a=rtcp-fb:* nack", "a=extmap:x y", "a=extmap:99999 urn:x",
    "a=ssrc:x cname:y", "a=ssrc:99999999999999999999 cname:y", "a=ssrc-group:FID 1",
    "a=candidate:", "a=candidate:1 1 udp 1 a.local 9 typ host", "a=ice-lite", "a=ice-ufrag:",
    "a=candidate:1 1 udp 1 ..local 9 typ host", f"a=candidate:1 1 udp 1 {'a' * 99}.local 9 typ x",
    "a=candidate:1 1 udp 99999999999999999999999 ::1 9 typ relay raddr x rport y",
    "a=candidate:1 1 udp 1 0.0.0.0 0 typ host", "a=candidate:1 1 udp 1 224.0.0.1 9 typ host",
    f"a=ice-pwd:{'x' * 300}", "a=fingerprint:sha-256", "a=fingerprint:md5 00", "a=setup:holdconn",
    "a=setup:nothing", "a=sendrecv", "a=recvonly", "a=inactive", "c=IN IP6 ::zz", "c=IN", "b=AS:x",
    "a=simulcast:send h;m", "a=rid:h send", "a=sctp-port:x", "a=max-message-size:x", "t=", "o=- 1",
    "v=1", "a=msid:", "a=rtcp:x", "a=rtcp:9 IN", "\x00", "\ufeff", "a=\u2028b",
]  # fmt: skip


def test_no_offer_does_any_harm(serve: Callable[..., str]) -> None:
    url = serve(connect_seconds=1)
    texts = [*OFFERS.values()]
    files = [text.encode() for text in texts]
    offers = lines(texts, _PIECES).map(str.encode) | damaged(files) | st.binary(max_size=200)
    taken = set()

    with unharmed(url) as session, httpx.Client(timeout=30) as client:

        @campaign(120)
        @given(offers, st.booleans())
        def send(offer: bytes, whip: bool) -> None:
            if whip:
                reply = client.post(f"{url}/whip/{session}", content=offer, headers=SDP)
            else:
                body = {"sdp": offer.decode(errors="replace"), "type": "offer"}
                reply = client.post(f"{url}/v1/sessions/{session}/offer", json=body)
            taken.add(reply.status_code)
            if not reply.is_success:
                assert reply.status_code in (400, 413, 422), (reply.status_code, reply.text)
                assert reply.json()["error"]["message"]

        send()
    assert {200, 201, 400, 422} <= taken, "the mutations are too strong, or too weak"
