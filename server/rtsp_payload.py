"""Frames out of RTP payloads of cameras: H.265 (RFC 7798), besides those of server/rtp_payload.py
and server/rtsp_jpeg.py.

Knows nothing about the order of packets, and decodes nothing.
"""

from collections.abc import Sequence
from typing import Final

from server.rtp_payload import MOST_FRAME_BYTES, BrokenPayload, Depacketizer
from server.rtp_payload import depacketizer as rtp_depacketizer
from server.rtsp_jpeg import Jpeg
from server.rtsp_sdp import VideoTrack

_START: Final = b"\0\0\0\1"
_SETS: Final = range(32, 35)  # VPS, SPS, PPS
_RANDOM_ACCESS: Final = range(16, 24)  # BLA, IDR, CRA
_SLICES: Final = range(32)
_AGGREGATION, _FRAGMENTATION, _PACI = 48, 49, 50
_MOST_SETS: Final = 64
_MOST_SET_BYTES: Final = 16384


def depacketizer(track: VideoTrack) -> Depacketizer:
    """For this track."""
    if track.codec == "H265":
        return H265(track.parameter_sets)
    if track.codec == "JPEG":
        return Jpeg()
    return rtp_depacketizer(track.codec, track.parameter_sets)


class H265:
    """Single NAL units, aggregation packets and fragmentation units (RFC 7798, section 4.4),
    without decoding order numbers, which no camera of one stream sends."""

    def __init__(self, parameter_sets: Sequence[bytes] = ()) -> None:
        self._sets = [unit for unit in parameter_sets if len(unit) > 2]
        self.begin(whole=False)

    def begin(self, *, whole: bool) -> None:
        self._whole = whole
        self._units: list[bytes] = []
        self._fragments: list[bytes] = []
        self._bytes = 0

    def add(self, payload: bytes) -> None:
        self._bytes += len(payload)
        if self._bytes > MOST_FRAME_BYTES:
            raise BrokenPayload(f"a frame of more than {MOST_FRAME_BYTES} bytes")
        kind = _kind(payload)
        if kind == _FRAGMENTATION:
            self._add_fragment(payload)
        elif self._fragments:
            raise BrokenPayload("a fragmented NAL unit has no end")
        elif kind == _AGGREGATION:
            self._add_aggregate(payload)
        elif kind < _AGGREGATION:
            self._add_unit(payload)
        elif kind == _PACI:
            raise BrokenPayload("PACI packets are not taken")

    def end(self) -> tuple[bytes, bool] | None:
        if self._fragments:
            raise BrokenPayload("a fragmented NAL unit has no end")
        kinds = [_kind(unit) for unit in self._units]
        if not any(kind in _SLICES for kind in kinds):
            return None
        key = any(kind in _RANDOM_ACCESS for kind in kinds)
        first = next(unit for unit in self._units if _kind(unit) in _SLICES)
        # first_slice_segment_in_pic_flag is the first bit behind the NAL unit's header.
        if not self._whole and not (key and first[2] & 0x80):
            raise BrokenPayload("the beginning of the frame is missing")
        units = self._units
        if key:
            units = [unit for unit in self._sets if unit not in units] + units
        return b"".join(_START + unit for unit in units), key

    def _add_unit(self, unit: bytes) -> None:
        if _kind(unit) in _SETS and unit not in self._sets and len(unit) <= _MOST_SET_BYTES:
            if _kind(unit) == _SETS[0]:
                self._sets = []
            if len(self._sets) < _MOST_SETS:
                self._sets.append(unit)
        self._units.append(unit)

    def _add_aggregate(self, payload: bytes) -> None:
        at = 2
        while at < len(payload):
            size = int.from_bytes(payload[at : at + 2], "big")
            unit = payload[at + 2 : at + 2 + size]
            if len(unit) < size:
                raise BrokenPayload("an aggregation packet is cut off")
            if _kind(unit) >= _AGGREGATION:
                raise BrokenPayload("an aggregation packet holds what is no NAL unit")
            self._add_unit(unit)
            at += 2 + size

    def _add_fragment(self, payload: bytes) -> None:
        if len(payload) < 4:
            raise BrokenPayload("a fragment of nothing")
        begins, ends, kind = payload[2] & 0x80, payload[2] & 0x40, payload[2] & 0x3F
        if (begins and ends) or kind >= _AGGREGATION or bool(begins) == bool(self._fragments):
            raise BrokenPayload("a fragmented NAL unit has no beginning, or two")
        if begins:
            self._fragments.append(bytes([payload[0] & 0x81 | kind << 1, payload[1]]))
        self._fragments.append(payload[3:])
        if ends:
            unit, self._fragments = b"".join(self._fragments), []
            self._add_unit(unit)


def _kind(unit: bytes) -> int:
    """nal_unit_type. Raises BrokenPayload for what is none."""
    if len(unit) < 3 or unit[0] & 0x80:
        raise BrokenPayload("a NAL unit is cut off or damaged")
    return unit[0] >> 1 & 0x3F
