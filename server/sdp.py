"""Session descriptions as text: what senders may offer, and what they are answered."""

import ipaddress
import itertools
import re
from typing import Any, Final

from aiortc import RTCIceCandidate
from aiortc.sdp import DIRECTIONS, SessionDescription, candidate_from_sdp

from server.errors import ClientError

SDP_BYTES: Final = 65536
MOST_CANDIDATES: Final = 64
_MOST_MEDIA: Final = 8
# aiortc compares and multiplies: without limits an offer of 64 KiB takes it seconds. Browsers'
# have 200 lines with 50 codecs.
_MOST_LINES: Final = 1000
_MOST_CODECS: Final = 256


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
    return [
        found[1] for line in sdp.splitlines() if (found := re.match(rf"a={attribute}:(\S+)", line))
    ]


def kinds(sdp: str) -> list[str]:
    """The media sections' kinds, in order. Lines end where they do for aiortc, so that no section
    is overlooked."""
    return [found[1] for line in sdp.splitlines() if (found := re.match(r"m=(\S+)", line))]


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


def has_address(candidate: RTCIceCandidate) -> bool:
    """Whether it can be reached without asking anybody. Names, such as the `.local` ones by which
    browsers hide their address, are not looked up: that takes a second each, and the sender is
    found by its own checks."""
    try:
        ipaddress.ip_address(candidate.ip)
    except ValueError:
        return False
    return True


def prepared(sdp: str) -> str:
    """The offer as aiortc can take it from everybody. Raises ClientError."""
    head, *sections = _parted(sdp)
    everywhere = _direction(head) or "a=sendrecv"  # RFC 8866, section 6.7
    for section in sections:
        if _direction(section) is None:
            section.append(everywhere)
    lines = []
    candidates = 0
    for line in itertools.chain(head, *sections):
        if line == "a=setup:actpass":
            # As the DTLS server we please both browsers and GStreamer, whose RSA certificate
            # aiortc's DTLS client does not accept.
            line = "a=setup:active"
        elif line == "a=end-of-candidates":
            # With it aioice fails where none of those given is reachable, although the sender may
            # well reach us: then its address is learnt from its checks (peer-reflexive).
            continue
        elif line.startswith("a=candidate:"):
            candidate = read_candidate(line.partition(":")[2])
            candidates += 1
            if candidates > MOST_CANDIDATES or not has_address(candidate):
                continue
        lines.append(line)
    return "\r\n".join(lines) + "\r\n"


def _parted(sdp: str) -> list[list[str]]:
    """The lines of the head, and of each media section."""
    parts: list[list[str]] = [[]]
    for line in sdp.splitlines():
        if line.startswith("m="):
            parts.append([])
        parts[-1].append(line)
    return parts


def _direction(lines: list[str]) -> str | None:
    """The line that says who sends, where there is one."""
    return next((line for line in lines if line[2:] in DIRECTIONS and line[:2] == "a="), None)


def check_sections(sdp: str) -> None:
    """Raises ValueError for an offer whose parts do not fit together: aiortc would accept it, and
    then neither connect nor close. Whatever else goes wrong in its parser comes out, too."""
    offer = SessionDescription.parse(sdp)
    named = [media.rtp.muxId for media in offer.media]
    if len({*named}) < len(named):
        raise ValueError(f"two media sections have the same a=mid: {', '.join(named)}")
    bundled: set[str] = set()
    for group in offer.group:
        if group.semantic == "BUNDLE" and not {*group.items} <= {*named}:
            raise ValueError("a=group:BUNDLE names a media section that is not there")
        bundled |= {*group.items} if group.semantic == "BUNDLE" else set()
    # The sections of a bundle use what the first of them has (RFC 8843, section 9).
    following = [name for name in named if name in bundled][1:]
    for media in offer.media:
        keyed = media.dtls is not None and media.dtls.fingerprints
        if not keyed and media.rtp.muxId not in following:
            raise ValueError("DTLS needs a=setup and a=fingerprint")


def check(sdp: Any) -> None:
    """Raises ClientError for what is no offer of a picture at first sight."""
    if len(sdp.encode("utf-8", "replace")) > SDP_BYTES:
        raise ClientError("offer_too_large", f"An offer has at most {SDP_BYTES} bytes.", status=413)
    if not sdp.startswith("v=0"):
        raise ClientError(
            "invalid_offer", "The SDP cannot be read: an offer begins with v=0.", param="sdp"
        )
    media = kinds(sdp)
    counts = (
        (len(media), _MOST_MEDIA, "media sections"),
        (len(sdp.splitlines()), _MOST_LINES, "lines"),
        (sdp.count("a=rtpmap:"), _MOST_CODECS, "codecs"),
    )
    for count, most, what in counts:
        if count > most:
            raise ClientError("invalid_offer", f"An offer has at most {most} {what}.", param="sdp")
    if "video" not in media:
        raise ClientError(
            "offer_without_video", "The offer has no video: add a video track.", param="sdp"
        )
