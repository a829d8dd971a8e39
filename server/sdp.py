"""Session descriptions as text: what senders may offer, and what they are answered."""

import re
from typing import Any, Final

from aiortc import RTCIceCandidate
from aiortc.sdp import candidate_from_sdp

from server.errors import ClientError

SDP_BYTES: Final = 65536
MOST_CANDIDATES: Final = 64
_MOST_MEDIA: Final = 8


def with_start_bitrate(sdp: str, kilobits: int) -> str:
    """The answer with a wish to start at this bitrate (kbit/s): without it Chromium starts at
    300 and shrinks the picture."""
    wish = f"x-google-start-bitrate={kilobits};x-google-min-bitrate={min(kilobits, 1000)}"
    lines: list[str] = []
    video = re.findall(r"^a=rtpmap:(\d+) (?:VP8|H264)/90000", sdp, flags=re.MULTILINE)
    with_fmtp = set(re.findall(r"^a=fmtp:(\d+) ", sdp, flags=re.MULTILINE))
    for line in sdp.splitlines():
        named = re.match(r"a=(rtpmap|fmtp):(\d+) ", line)
        if named and named[2] in video:
            if named[1] == "fmtp":
                line = f"{line};{wish}"
            elif named[2] not in with_fmtp:
                line = f"{line}\r\na=fmtp:{named[2]} {wish}"
        lines.append(line)
    return "\r\n".join(lines) + "\r\n"


def values(sdp: str, attribute: str) -> list[str]:
    """Of `a=attribute:` wherever it stands."""
    return re.findall(rf"^a={attribute}:(\S+)", sdp, flags=re.MULTILINE)


def read_candidate(value: str) -> RTCIceCandidate:
    """The value of an `a=candidate:`. Raises ClientError."""
    try:
        candidate = candidate_from_sdp(value)
        # Another port would break the socket that sends to it.
        readable = 0 <= candidate.port <= 65535
    except (AssertionError, ValueError):
        readable = False
    if not readable:
        raise ClientError("invalid_candidate", f"The candidate {value[:200]!r} cannot be read.")
    return candidate


def prepared(sdp: str) -> str:
    """The offer as aiortc can take it from everybody. Raises ClientError."""
    lines = []
    candidates = 0
    for line in sdp.splitlines():
        if line == "a=setup:actpass":
            # As the DTLS server we please both browsers and GStreamer, whose RSA certificate
            # aiortc's DTLS client does not accept.
            line = "a=setup:active"
        elif line == "a=end-of-candidates":
            # With it aioice fails where none of those given is reachable, although the sender may
            # well reach us: then its address is learnt from its checks (peer-reflexive).
            continue
        elif line.startswith("a=candidate:"):
            read_candidate(line.partition(":")[2])
            candidates += 1
            if candidates > MOST_CANDIDATES:
                continue
        lines.append(line)
    return "\r\n".join(lines) + "\r\n"


def check(sdp: Any) -> None:
    """Raises ClientError for what is no offer of a picture at first sight."""
    if len(sdp.encode("utf-8", "replace")) > SDP_BYTES:
        raise ClientError("offer_too_large", f"An offer has at most {SDP_BYTES} bytes.", status=413)
    if not sdp.startswith("v=0"):
        raise ClientError(
            "invalid_offer", "The SDP cannot be read: an offer begins with v=0.", param="sdp"
        )
    media = re.findall(r"^m=(\w+)", sdp, flags=re.MULTILINE)
    if len(media) > _MOST_MEDIA:
        raise ClientError(
            "invalid_offer", f"An offer has at most {_MOST_MEDIA} media sections.", param="sdp"
        )
    if "video" not in media:
        raise ClientError(
            "offer_without_video", "The offer has no video: add a video track.", param="sdp"
        )
