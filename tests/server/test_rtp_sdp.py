"""SDP of senders is read, and what is written others can read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.errors import ClientError
from server.rtp_sdp import RtpFormat, chosen, read, written

# As ffmpeg prints it.
FFMPEG = """SDP:
v=0
o=- 0 0 IN IP4 127.0.0.1
s=No Name
c=IN IP4 127.0.0.1
t=0 0
a=tool:libavformat 59.27.100
m=audio 5002 RTP/AVP 97
a=rtpmap:97 opus/48000/2
m=video 5004 RTP/AVP 98
b=AS:200
a=rtpmap:98 H264/90000
a=fmtp:98 packetization-mode=1; sprop-parameter-sets=Z0LAFdkBQfsBEAAAAwAQAAADAyjxYuSA,aMuMsg==; profile-level-id=42C015
"""  # noqa: E501


def test_the_sdp_of_ffmpeg_is_read() -> None:
    found = read(FFMPEG, None, None)
    assert (found.codec, found.payload_type) == ("H264", 98)
    assert [unit[0] & 0x1F for unit in found.parameter_sets] == [7, 8]
    assert read(FFMPEG.replace("\n", "\r\n"), "H264", 98) == found


def test_the_first_that_fits_is_taken() -> None:
    sdp = "v=0\nm=video 9 RTP/AVP 26 100 101\na=rtpmap:100 H265/90000\na=rtpmap:101 vp8/90000\n"
    assert read(sdp, None, None) == RtpFormat("VP8", 101)


@pytest.mark.parametrize(
    ("sdp", "code"),
    [
        ("", "invalid_sdp"),
        ("hello", "invalid_sdp"),
        ("v=0\nm=audio 9 RTP/AVP 0", "invalid_sdp"),
        ("v=0\nm=video", "invalid_sdp"),
        ("v=0\nm=video 9", "unsupported_codec"),
        ("v=0\nm=video 9 RTP/AVP 26", "unsupported_codec"),
        ("v=0\nm=video 9 RTP/AVP 96\na=rtpmap:96 H265/90000", "unsupported_codec"),
        ("v=0\nm=video 9 RTP/AVP 96\na=rtpmap:96 VP8/48000", "unsupported_codec"),
        (FFMPEG.replace("RTP/AVP 98", "RTP/SAVP 98"), "unsupported_codec"),
        (FFMPEG.replace("mode=1", "mode=2"), "unsupported_codec"),
        (FFMPEG.replace("aMuMsg==", "%%%"), "invalid_sdp"),
        (FFMPEG.replace("aMuMsg==", "6AAA"), "invalid_sdp"),
        (FFMPEG.replace("98", "72"), "invalid_payload_type"),
        (FFMPEG.replace("98", "198"), "invalid_payload_type"),
    ],
)
def test_what_cannot_be_used_is_refused_in_words(sdp: str, code: str) -> None:
    with pytest.raises(ClientError) as refused:
        read(sdp, None, None)
    assert (refused.value.code, refused.value.status) == (code, 422)


@pytest.mark.parametrize(("codec", "payload_type"), [("VP8", None), (None, 96)])
def test_a_contradiction_is_refused(codec: str | None, payload_type: int | None) -> None:
    with pytest.raises(ClientError, match="no video of"):
        read(FFMPEG, codec, payload_type)  # type: ignore[arg-type]


def test_payload_types_that_look_like_rtcp_are_refused() -> None:
    assert chosen(None, None) == RtpFormat("H264", 96)
    assert chosen("VP8", 33) == RtpFormat("VP8", 33)
    for number in (64, 72, 95):
        with pytest.raises(ClientError, match="RFC 5761"):
            chosen(None, number)


@pytest.mark.parametrize("host", ["127.0.0.1", "2001:db8::7", "camera.example"])
def test_what_is_written_can_be_read(host: str) -> None:
    for codec in ("H264", "VP8"):
        wanted = RtpFormat(codec, 97)  # type: ignore[arg-type]
        sdp = written(wanted, host, 50000, 50001)
        assert read(sdp, None, None) == wanted
        family = "IP6" if ":" in host else "IP4"
        assert f"\r\nc=IN {family} {host}\r\n" in sdp and "\r\na=rtcp:50001\r\n" in sdp
        assert sdp.endswith("\r\n") and "\r\nm=video 50000 RTP/AVP 97\r\n" in sdp
        assert "a=rtcp:" not in written(wanted, host, 50000, None)


@given(st.text(max_size=300).map(lambda text: f"v=0\nm=video 9 RTP/AVP 96\n{text}"))
def test_any_text_is_read_or_refused(text: str) -> None:
    for sdp in (text, FFMPEG.replace("Z0LAFdkBQfsB", text[-12:]), text + FFMPEG):
        try:
            read(sdp, None, None)
        except ClientError:
            continue
