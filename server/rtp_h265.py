"""H.265 out of RTP payloads (RFC 7798)."""

from typing import Final

from server.rtp_nal import NalFrames
from server.rtp_payload import BrokenPayload

_VPS: Final = 32
_PACI: Final = 50


class H265(NalFrames):
    """Single NAL units, aggregation packets and fragmentation units (RFC 7798, section 4.4),
    without decoding order numbers, which no camera of one stream sends."""

    HEADER_BYTES = 2
    KINDS = 0x3F
    UNITS = range(48)
    AGGREGATE, FRAGMENT = 48, 49
    SLICES = range(32)
    KEYS = range(16, 24)  # BLA, IDR, CRA
    SETS = range(_VPS, 35)  # VPS, SPS, PPS
    FIRST_SET = _VPS

    def kind(self, unit: bytes) -> int:
        if len(unit) < 3 or unit[0] & 0x80:
            raise BrokenPayload("a NAL unit is cut off or damaged")
        return unit[0] >> 1 & 0x3F

    def header(self, fragment: bytes, kind: int) -> bytes:
        return bytes([fragment[0] & 0x81 | kind << 1, fragment[1]])

    def pass_over(self, kind: int) -> None:
        if kind == _PACI:
            raise BrokenPayload("PACI packets are not taken")

    def begins(self, kinds: list[int]) -> bool:
        # first_slice_segment_in_pic_flag is the first bit behind the NAL unit's header.
        return self.first_slice[2] >= 0x80

    def with_sets(self, kinds: list[int]) -> list[bytes]:
        return [unit for unit in self._sets if unit not in self._units] + self._units
