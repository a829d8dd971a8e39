"""Offers are made fit for aiortc, and answers for browsers."""

import pytest

from server.errors import ClientError
from server.sdp import MOST_CANDIDATES, prepared, read_candidate, values, with_start_bitrate

HOST = "1 1 udp 2130706431 192.0.2.7 5000 typ host"


def test_the_answer_asks_browsers_to_start_fast() -> None:
    sdp = "v=0\r\na=rtpmap:96 VP8/90000\r\na=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\n"
    assert with_start_bitrate(sdp, 2000) == (
        "v=0\r\na=rtpmap:96 VP8/90000\r\n"
        "a=fmtp:96 x-google-start-bitrate=2000;x-google-min-bitrate=1000\r\n"
        "a=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\n"
    )
    sdp = "a=rtpmap:99 H264/90000\r\na=fmtp:99 packetization-mode=1\r\n"
    assert "a=fmtp:99 packetization-mode=1;x-google-start-bitrate=500;" in with_start_bitrate(
        sdp, 500
    )


def test_we_are_the_dtls_server_wherever_the_offer_says_so() -> None:
    assert prepared("v=0\na=setup:actpass\nm=video 9\na=setup:actpass\n") == (
        "v=0\r\na=setup:active\r\nm=video 9\r\na=setup:active\r\n"
    )
    assert "a=setup:passive" in prepared("v=0\r\na=setup:passive\r\n")


def test_candidates_of_an_offer_end_never_and_are_limited() -> None:
    lines = ["v=0", *[f"a=candidate:{HOST}"] * 99, "a=end-of-candidates", "a=mid:0"]
    kept = prepared("\r\n".join(lines))
    assert kept.count("a=candidate:") == MOST_CANDIDATES
    assert "end-of-candidates" not in kept and kept.endswith("a=mid:0\r\n")


@pytest.mark.parametrize(
    "value", ["", "1 1 udp", HOST.replace("5000", "70000"), HOST.replace("5000", "-1"), "x " * 8]
)
def test_a_candidate_that_cannot_be_read_is_named(value: str) -> None:
    with pytest.raises(ClientError, match="cannot be read"):
        read_candidate(value)
    with pytest.raises(ClientError, match="cannot be read"):
        prepared(f"v=0\r\na=candidate:{value}\r\n")


def test_values_are_found_at_the_head_and_in_every_section() -> None:
    sdp = "v=0\r\na=ice-ufrag:one\r\nm=video\r\na=ice-ufrag:two x\r\nb=ice-ufrag:three\r\n"
    assert values(sdp, "ice-ufrag") == ["one", "two"]
