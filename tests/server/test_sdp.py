"""Offers are made fit for aiortc, and answers for browsers."""

import pytest

from server.errors import ClientError
from server.sdp import (
    MOST_CANDIDATES,
    check,
    check_sections,
    has_address,
    kinds,
    prepared,
    read_candidate,
    values,
    with_start_bitrate,
)

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
    assert prepared("v=0\na=setup:actpass\nm=video 9\na=setup:actpass\na=sendonly\n") == (
        "v=0\r\na=setup:active\r\nm=video 9\r\na=setup:active\r\na=sendonly\r\n"
    )
    assert "a=setup:passive" in prepared("v=0\r\na=setup:passive\r\n")


def test_candidates_of_an_offer_end_never_and_are_limited() -> None:
    lines = ["v=0", *[f"a=candidate:{HOST}"] * 99, "a=end-of-candidates", "a=mid:0"]
    kept = prepared("\r\n".join(lines))
    assert kept.count("a=candidate:") == MOST_CANDIDATES
    assert "end-of-candidates" not in kept and kept.endswith("a=mid:0\r\n")


def test_names_are_not_looked_up() -> None:
    names = ["f81d4fae.local", "..local", "camera.example", "224.0.0.1x"]
    lines = ["v=0", *(f"a=candidate:{HOST.replace('192.0.2.7', name)}" for name in names)]
    assert prepared("\r\n".join(lines)) == "v=0\r\n"
    assert all(not has_address(read_candidate(line.partition(":")[2])) for line in lines[1:])


@pytest.mark.parametrize(("head", "means"), [("", "a=sendrecv"), ("a=sendonly\n", "a=sendonly")])
def test_a_section_that_does_not_say_who_sends_says_what_the_head_does(
    head: str, means: str
) -> None:
    sections = prepared(f"v=0\n{head}m=audio 9\na=inactive\nm=video 9\na=mid:1\n").split("m=")
    assert sections[1:] == ["audio 9\r\na=inactive\r\n", f"video 9\r\na=mid:1\r\n{means}\r\n"]


def test_no_line_ending_hides_a_section() -> None:
    sdp = "v=0\r\ns=a\u2028m=video 9\x0bm=audio 9\rm=text 9"
    assert kinds(sdp) == ["video", "audio", "text"]
    with pytest.raises(ClientError, match="at most 8"):
        check("v=0\r\nm=video 9" + "\u2028m=audio 9" * 8)


@pytest.mark.parametrize(
    ("line", "what"),
    [("m=audio 9", "8 media"), ("a=x", "1000 lines"), ("a=rtpmap:1 x/1", "codecs")],
)
def test_an_offer_is_no_work_without_end(line: str, what: str) -> None:
    with pytest.raises(ClientError, match=f"at most .*{what}"):
        check("v=0\r\nm=video 9\r\n" + f"{line}\r\n" * (300 if ":" in line else 999))


MEDIA = "m=video 9 UDP/TLS/RTP/SAVPF 96\na=ice-ufrag:a\na=ice-pwd:b\na=setup:actpass\n"
MARK = "a=fingerprint:sha-256 AB\n"


@pytest.mark.parametrize(
    ("sdp", "why"),
    [
        (MARK + (MEDIA + "a=mid:0\n") * 2, "the same a=mid: 0, 0"),
        (MARK + MEDIA * 2, "the same a=mid"),
        (MARK + "a=group:BUNDLE 7\n" + MEDIA + "a=mid:0\n", "a media section that is not there"),
        (MEDIA + "a=mid:0\n", "needs a=setup and a=fingerprint"),
        ((MEDIA + MARK).replace("a=setup:actpass\n", ""), "needs a=setup and a=fingerprint"),
        (MEDIA + "a=mid:0\n" + MEDIA + "a=mid:1\n" + MARK, "needs a=setup and a=fingerprint"),
    ],
)
def test_parts_that_do_not_fit_together_are_named(sdp: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        check_sections("v=0\n" + sdp)


def test_a_bundle_uses_what_its_first_section_has() -> None:
    check_sections(
        f"v=0\na=group:BUNDLE 1 0\n{MEDIA}a=mid:0\n{MARK}{MEDIA}a=mid:1\na=bundle-only\n"
    )


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
