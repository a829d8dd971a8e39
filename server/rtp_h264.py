"""H.264 out of RTP payloads (RFC 6184)."""

from collections.abc import Sequence
from typing import Final

from server.rtp_nal import NalFrames
from server.rtp_payload import BrokenPayload, MissingParameterSets

_IDR, _SPS, _PPS, _DELIMITER = 5, 7, 8, 9
_RESERVED: Final = (0, 30, 31)  # to be ignored (section 5.4)


class H264(NalFrames):
    """Single NAL units, STAP-A and FU-A, which are all of packetization modes 0 and 1 (RFC 6184,
    sections 5.6, 5.7.1 and 5.8)."""

    HEADER_BYTES = 1
    KINDS = 0x1F
    UNITS = range(1, 24)
    AGGREGATE, FRAGMENT = 24, 28
    SLICES = range(1, 6)
    KEYS = (_IDR,)
    SETS = (_SPS, _PPS, 13, 15)
    FIRST_SET = _SPS

    def __init__(self, parameter_sets: Sequence[bytes] = ()) -> None:
        super().__init__(parameter_sets)
        self._in_band = False  # whether keyframes bring their SPS

    def kind(self, unit: bytes) -> int:
        if unit[0] & 0x80:  # forbidden_zero_bit says that bits are wrong
            raise BrokenPayload("a NAL unit says itself that it is damaged")
        return unit[0] & 0x1F

    def header(self, fragment: bytes, kind: int) -> bytes:
        return bytes([fragment[0] & 0xE0 | kind])

    def pass_over(self, kind: int) -> None:
        if kind not in _RESERVED:
            raise BrokenPayload(f"NAL units of type {kind} belong to the interleaved mode")

    def begins(self, kinds: list[int]) -> bool:
        # What can only be the first of its frame, by the order of ITU-T H.264, section 7.4.1.2.3.
        if kinds[0] in (_DELIMITER, _SPS):
            return True
        first = self.first_slice
        # Where SPS come with keyframes, one that is not there was lost. first_mb_in_slice is
        # the first thing in a slice: a single bit, where it is 0.
        return not self._in_band and len(first) > 1 and first[1] >= 0x80

    def with_sets(self, kinds: list[int]) -> list[bytes]:
        if _SPS in kinds:
            self._in_band = True
            return self._units
        if not {_SPS, _PPS} <= {self.kind(unit) for unit in self._sets}:
            raise MissingParameterSets("a keyframe without SPS and PPS")
        return self._sets + self._units
