"""Which Depacketizer a stream of RTP needs."""

from collections.abc import Sequence
from typing import Literal

from server.rtp_h264 import H264
from server.rtp_h265 import H265
from server.rtp_payload import Depacketizer
from server.rtp_vp8 import Vp8
from server.rtsp_jpeg import Jpeg


def depacketizer(
    codec: Literal["H264", "H265", "JPEG", "VP8"], parameter_sets: Sequence[bytes] = ()
) -> Depacketizer:
    """parameter_sets: H.264's SPS and PPS from an SDP (RFC 6184, section 8.1), or H.265's (RFC
    7798, section 7.1)."""
    match codec:
        case "H264":
            return H264(parameter_sets)
        case "H265":
            return H265(parameter_sets)
        case "JPEG":
            return Jpeg()
        case "VP8":
            return Vp8()
