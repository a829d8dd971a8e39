"""What a camera describes: the first picture that can be decoded, and no other address."""

import base64
import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.rtsp_sdp import NoPicture, read_track
from tests.server.scripted_rtsp import SDP

BASE = "rtsp://10.0.0.9:554/live/"
TWO = """v=0
a=control:rtsp://10.0.0.9/all
m=video 0 RTP/AVP 98
a=rtpmap:98 MP4V-ES/90000
a=control:track0
m=video 0 RTP/AVP 97 96
a=rtpmap:97 vnd.onvif/90000
a=rtpmap:96 h264/90000
a=fmtp:96 packetization-mode=1; sprop-parameter-sets=Z0IAKeKQ,aM48gA==;profile-level-id=42
a=control:track1
"""


def test_the_first_that_can_be_decoded() -> None:
    track = read_track(TWO.replace("\n", "\r\n"), BASE)
    assert (track.codec, track.payload_type) == ("H264", 96)
    assert (track.control, track.aggregate) == (f"{BASE}track1", "rtsp://10.0.0.9/all")
    assert track.parameter_sets == (base64.b64decode("Z0IAKeKQ"), base64.b64decode("aM48gA=="))
    assert read_track(SDP, BASE).codec == "JPEG", "which has a number instead of a name"


@pytest.mark.parametrize(
    ("base", "control", "wanted"),
    [
        (BASE, "track1", f"{BASE}track1"),
        (BASE[:-1], "/track1", f"{BASE}track1"),
        ("rtsp://10.0.0.9/live?x=1", "track1", "rtsp://10.0.0.9/live?x=1/track1"),
        (BASE, "*", BASE),
        (BASE, "rtsp://192.168.0.1/inside", "rtsp://192.168.0.1/inside"),
    ],
)
def test_controls_are_added_as_cameras_mean_it(base: str, control: str, wanted: str) -> None:
    sdp = f"v=0\nm=video 0 RTP/AVP 26\na=control:{control}\n"
    assert read_track(sdp, base).control == wanted


@pytest.mark.parametrize(
    ("sdp", "why"),
    [
        ("", "no video"),
        ("v=0\nm=audio 0 RTP/AVP 0\n", "no video"),
        ("v=0\nm=video 0 RTP/AVP 98\na=rtpmap:98 MP4V-ES/90000\n", "MP4V-ES.*set it to H.264"),
        ("v=0\nm=video 0 RTP/AVP 26\na=control:a b\n", "URI"),
        ("v=0\nm=video\n", "unknown"),
    ],
)
def test_what_cannot_be_shown_is_told(sdp: str, why: str) -> None:
    with pytest.raises(NoPicture, match=why):
        read_track(sdp, BASE)


@given(st.lists(st.sampled_from(TWO.splitlines()) | st.text(max_size=30)))
def test_nothing_else_is_ever_raised(lines: list[str]) -> None:
    with contextlib.suppress(NoPicture):
        read_track("\n".join(lines), BASE)
