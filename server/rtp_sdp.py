"""SDP of RTP streams (RFC 8866): read from senders, and written for them.

Knows nothing about WebRTC, whose SDP is another thing.
"""

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Final

from server.errors import ClientError
from server.rtp_payload import Codec

CLOCK: Final = 90_000
DEFAULT_PAYLOAD_TYPE: Final = 96
_CODECS: Final[dict[str, Codec]] = {"H264": "H264", "VP8": "VP8"}
# High 5.1: all that the decoder knows, up to 4K at 30 frames, in single NAL units, STAP-A and FU-A.
_H264: Final = "packetization-mode=1;profile-level-id=640033"
_PARAMETER_SETS: Final = (7, 8)
_MOST_SET_BYTES: Final = 16384


@dataclass(frozen=True)
class RtpFormat:
    """parameter_sets: H.264's SPS and PPS, where they are known beforehand."""

    codec: Codec
    payload_type: int
    parameter_sets: tuple[bytes, ...] = ()


def written(wanted: RtpFormat, host: str, port: int, rtcp_port: int | None) -> str:
    """What is received at this host and port, for a sender or a player. RTCP may come to the same
    port (RFC 5761) or to rtcp_port (RFC 3605)."""
    family = "IP6" if ":" in host else "IP4"
    name = wanted.payload_type
    lines = [
        "v=0",
        f"o=- {port} 0 IN {family} {host}",
        "s=Lookback",
        f"c=IN {family} {host}",
        "t=0 0",
        f"m=video {port} RTP/AVP {name}",
        f"a=rtpmap:{name} {wanted.codec}/{CLOCK}",
        *([f"a=fmtp:{name} {_H264}"] if wanted.codec == "H264" else []),
        *([] if rtcp_port is None else [f"a=rtcp:{rtcp_port}"]),
        "a=rtcp-mux",
        "a=recvonly",
    ]
    return "\r\n".join([*lines, ""])


def read(sdp: str, codec: Codec | None, payload_type: int | None) -> RtpFormat:
    """What a sender says of its own stream: the first video that can be taken here, of this codec
    and payload type where they are given. Raises ClientError."""
    begin = sdp.find("v=0")  # ffmpeg prints a line before it
    lines = [line.strip() for line in sdp[max(begin, 0) :].splitlines()]
    at = next((n for n, line in enumerate(lines) if line.startswith("m=video ")), None)
    if begin < 0 or at is None:
        raise _invalid("It has no video: send the SDP as the sender prints it, from v=0 on.")
    _, _, protocol, *formats = [*lines[at].split(), "", ""]
    if protocol != "RTP/AVP":
        raise _unsupported(f"Its protocol is {protocol[:40]!r}: only plain RTP/AVP is taken.")
    attributes: list[str] = []
    for line in lines[at + 1 :]:
        if line.startswith("m="):
            break
        attributes.append(line)
    for name in filter(None, formats):
        found = _codec(name, attributes)
        if found is not None and codec in (None, found) and payload_type in (None, int(name)):
            parameters = _parameters(name, attributes)
            sets = _parameter_sets(parameters) if found == "H264" else ()
            return RtpFormat(found, _checked(int(name)), sets)
    wanted = " ".join(str(part) for part in (codec or "H264 or VP8", payload_type) if part)
    raise _unsupported(f"It has no video of {wanted} at a clock of {CLOCK}.")


def _checked(payload_type: int) -> int:
    if payload_type > 127 or 64 <= payload_type < 96:
        raise ClientError(
            "invalid_payload_type",
            f"Payload type {payload_type} cannot be told from RTCP: use 96 to 127 (RFC 5761).",
            param="payload_type",
            status=422,
        )
    return payload_type


def chosen(codec: Codec | None, payload_type: int | None) -> RtpFormat:
    """What a sender without an SDP is to send. Raises ClientError for a payload type that looks
    like RTCP."""
    number = DEFAULT_PAYLOAD_TYPE if payload_type is None else payload_type
    return RtpFormat(codec or "H264", _checked(number))


def _codec(name: str, attributes: list[str]) -> Codec | None:
    if not re.fullmatch(r"\d{1,3}", name, flags=re.ASCII):
        return None
    for line in attributes:
        mapped = re.fullmatch(rf"a=rtpmap:{name} +([\w.-]+)/{CLOCK}", line, flags=re.ASCII)
        if mapped:
            return _CODECS.get(mapped[1].upper())
    return None


def _parameters(name: str, attributes: list[str]) -> dict[str, str]:
    parameters = {}
    for line in attributes:
        head, _, tail = line.partition(" ")
        if head == f"a=fmtp:{name}":
            for part in tail.split(";"):
                key, _, value = part.strip().partition("=")
                parameters[key.lower()] = value
    return parameters


def _parameter_sets(parameters: dict[str, str]) -> tuple[bytes, ...]:
    """RFC 6184, section 8.1."""
    if parameters.get("packetization-mode", "0") not in ("0", "1"):
        raise _unsupported("Its H.264 is interleaved: let it send packetization-mode 0 or 1.")
    sets = []
    for text in filter(None, parameters.get("sprop-parameter-sets", "").split(",")):
        try:
            unit = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError) as error:
            raise _invalid(f"sprop-parameter-sets is no base64 ({error}).") from error
        if not unit or unit[0] & 0x80 or len(unit) > _MOST_SET_BYTES:
            raise _invalid("sprop-parameter-sets holds what is no SPS and no PPS.")
        if unit[0] & 0x1F in _PARAMETER_SETS:
            sets.append(unit)
    return tuple(sets)


def _invalid(message: str) -> ClientError:
    return ClientError("invalid_sdp", f"The SDP cannot be used. {message}", param="sdp", status=422)


def _unsupported(message: str) -> ClientError:
    return ClientError(
        "unsupported_codec", f"The SDP cannot be used. {message}", param="sdp", status=422
    )
