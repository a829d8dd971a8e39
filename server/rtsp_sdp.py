"""What a camera says it has (SDP, RFC 8866): its first picture that can be decoded.

The addresses and ports in it are not read: everything comes over the connection that is there.
"""

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Final, Literal, get_args

Codec = Literal["H264", "H265", "JPEG", "VP8"]
CODECS: Final[tuple[Codec, ...]] = get_args(Codec)
_JPEG: Final = 26  # the one of them that has a number of its own (RFC 3551)
_URI: Final = re.compile(r"[!-~]{1,2048}")
_SETS: Final = ("sprop-vps", "sprop-sps", "sprop-pps", "sprop-parameter-sets")


class NoPicture(Exception):
    """Nothing that can be shown; the message says why."""


@dataclass(frozen=True)
class VideoTrack:
    """control: the URI by which SETUP names it; aggregate: the one by which PLAY names all.
    parameter_sets: NAL units that the stream itself may lack."""

    codec: Codec
    payload_type: int
    control: str
    aggregate: str
    parameter_sets: tuple[bytes, ...]


def read_track(sdp: str, base: str) -> VideoTrack:
    """base: what relative URIs add to. Raises NoPicture."""
    head, *sections = re.split(r"^(?=m=)", sdp, flags=re.MULTILINE)
    videos = [section for section in sections if section.startswith("m=video")]
    if not videos:
        raise NoPicture("it sends no video")
    for section in videos:
        for payload_type, name in _formats(section):
            if name in CODECS:
                return VideoTrack(
                    name,
                    payload_type,
                    _joined(base, _value(section, "control")),
                    _joined(base, _value(head, "control")),
                    _parameter_sets(section, payload_type),
                )
    names = {name[:16] for section in videos for _, name in _formats(section)} or {"unknown"}
    raise NoPicture(
        f"its video is {' and '.join(sorted(names))}, which is not decoded here: "
        f"set it to H.264, or to {', '.join(CODECS[1:])}"
    )


def _formats(section: str) -> list[tuple[int, str]]:
    """Payload types, and the codecs' names."""
    line = section.splitlines()[0].split()
    named = re.findall(r"^a=rtpmap:(\d{1,3}) +([\w.-]+)", section, flags=re.MULTILINE)
    names = {_JPEG: "JPEG"} | {int(number): name.upper() for number, name in named}
    numbers = [int(number) for number in line[3:] if re.fullmatch(r"\d{1,3}", number)]
    return [(number, names[number]) for number in numbers if number in names]


def _value(section: str, attribute: str) -> str:
    found = re.search(rf"^a={attribute}:(.*)$", section, flags=re.MULTILINE)
    return found[1].strip() if found else ""


def _joined(base: str, control: str) -> str:
    """As cameras mean it: a relative URI is added to the base, query and all (RFC 2326, appendix
    C.1.1, would have it resolved)."""
    if control in ("", "*"):
        return base
    uri = control
    if not re.match(r"rtsp[a-z]?://", control, flags=re.IGNORECASE):
        uri = base + ("" if base.endswith("/") else "/") + control.removeprefix("/")
    if not _URI.fullmatch(uri):
        raise NoPicture("its description names a URI that is none")
    return uri


def _parameter_sets(section: str, payload_type: int) -> tuple[bytes, ...]:
    """RFC 6184, section 8.1, and RFC 7798, section 7.1. Damaged ones are passed over: the stream
    brings its own."""
    parameters = re.search(rf"^a=fmtp:{payload_type} +(.*)$", section, flags=re.MULTILINE)
    found: dict[str, str] = {}
    for pair in (parameters[1] if parameters else "").split(";"):
        name, _, value = pair.strip().partition("=")
        found.setdefault(name.lower(), value)
    units = []
    for text in ",".join(found[name] for name in _SETS if name in found).split(","):
        try:
            units.append(base64.b64decode(text, validate=True))
        except (binascii.Error, ValueError):
            continue
    return tuple(unit for unit in units if unit)
