"""Frames out of RTP payloads: H.264 (RFC 6184) and VP8 (RFC 7741).

Knows nothing about the order of packets, and decodes nothing.
"""

from typing import Final, Literal, Protocol

Codec = Literal["H264", "VP8"]
MOST_FRAME_BYTES: Final = 2**23
_START: Final = b"\0\0\0\1"
_SLICES: Final = range(1, 6)
_IDR, _SPS, _PPS, _DELIMITER = 5, 7, 8, 9
_STAP_A, _FU_A = 24, 28
_PARAMETER_SETS: Final = (_SPS, _PPS, 13, 15)
_MOST_SETS: Final = 64
_MOST_SET_BYTES: Final = 16384


class BrokenPayload(ValueError):
    """A payload that is none of this codec's, or a frame that is not whole."""


class MissingParameterSets(BrokenPayload):
    """A keyframe that cannot be decoded, because SPS and PPS never came."""


class Depacketizer(Protocol):
    """One frame after another, of payloads in order. After BrokenPayload, begin the next one."""

    def begin(self, *, whole: bool) -> None:
        """Another frame; `whole`: nothing that could have been its beginning was lost."""

    def add(self, payload: bytes) -> None:
        """Its next payload. Raises BrokenPayload."""

    def end(self) -> tuple[bytes, bool] | None:
        """It as the decoder wants it, and whether it is a keyframe; None where it holds no
        picture. Raises BrokenPayload."""


def depacketizer(codec: Codec, parameter_sets: tuple[bytes, ...] = ()) -> Depacketizer:
    """parameter_sets: H.264's SPS and PPS from an SDP (RFC 6184, section 8.1)."""
    return H264(parameter_sets) if codec == "H264" else Vp8()


class H264:
    """Single NAL units, STAP-A and FU-A, which are all of packetization modes 0 and 1 (RFC 6184,
    sections 5.6, 5.7.1 and 5.8)."""

    def __init__(self, parameter_sets: tuple[bytes, ...] = ()) -> None:
        self._sets = list(parameter_sets)
        self._in_band = False  # whether keyframes bring their SPS
        self.begin(whole=False)

    def begin(self, *, whole: bool) -> None:
        self._whole = whole
        self._units: list[bytes] = []
        self._fragments: list[bytes] = []
        self._bytes = 0

    def add(self, payload: bytes) -> None:
        if not payload:
            return
        self._bytes += len(payload)
        if self._bytes > MOST_FRAME_BYTES:
            raise BrokenPayload(f"a frame of more than {MOST_FRAME_BYTES} bytes")
        kind = _kind(payload)
        if kind == _FU_A:
            self._add_fragment(payload)
        elif self._fragments:
            raise BrokenPayload("a fragmented NAL unit has no end")
        elif kind == _STAP_A:
            self._add_aggregate(payload)
        elif 1 <= kind < _STAP_A:
            self._add_unit(payload)
        elif kind not in (0, 30, 31):  # reserved: to be ignored (section 5.4)
            raise BrokenPayload(f"NAL units of type {kind} belong to the interleaved mode")

    def end(self) -> tuple[bytes, bool] | None:
        if self._fragments:
            raise BrokenPayload("a fragmented NAL unit has no end")
        kinds = [_kind(unit) for unit in self._units]
        if not any(kind in _SLICES for kind in kinds):
            return None  # parameter sets and the like, which are kept
        key = _IDR in kinds
        if not self._whole and not (key and self._begins(kinds[0])):
            raise BrokenPayload("the beginning of the frame is missing")
        units = self._units
        if key and _SPS in kinds:
            self._in_band = True
        elif key:
            if not {_SPS, _PPS} <= {_kind(unit) for unit in self._sets}:
                raise MissingParameterSets("a keyframe without SPS and PPS")
            units = self._sets + units
        return b"".join(_START + unit for unit in units), key

    def _begins(self, kind: int) -> bool:
        """Whether a unit of this kind can only be the first of its frame; the order of units is
        that of ITU-T H.264, section 7.4.1.2.3."""
        if kind in (_DELIMITER, _SPS):
            return True
        first = next(unit for unit in self._units if _kind(unit) in _SLICES)
        # Where SPS come with keyframes, one that is not there was lost. first_mb_in_slice is
        # the first thing in a slice: a single bit, where it is 0.
        return not self._in_band and len(first) > 1 and first[1] >= 0x80

    def _add_unit(self, unit: bytes) -> None:
        if _kind(unit) in _PARAMETER_SETS:
            self._keep(unit)
        self._units.append(unit)

    def _keep(self, unit: bytes) -> None:
        """For keyframes that come without."""
        if unit in self._sets or len(unit) > _MOST_SET_BYTES:
            return
        if _kind(unit) == _SPS:
            self._sets = [unit]
        elif len(self._sets) < _MOST_SETS:
            self._sets.append(unit)

    def _add_aggregate(self, payload: bytes) -> None:
        at = 1
        while at < len(payload):
            size = int.from_bytes(payload[at : at + 2], "big")
            unit = payload[at + 2 : at + 2 + size]
            if size == 0 or len(unit) < size:
                raise BrokenPayload("an aggregation packet is cut off")
            if not 1 <= _kind(unit) < _STAP_A:
                raise BrokenPayload("an aggregation packet holds what is no NAL unit")
            self._add_unit(unit)
            at += 2 + size

    def _add_fragment(self, payload: bytes) -> None:
        if len(payload) < 3:
            raise BrokenPayload("a fragment of nothing")
        begins, ends, kind = payload[1] & 0x80, payload[1] & 0x40, payload[1] & 0x1F
        if (begins and ends) or not 1 <= kind < _STAP_A or bool(begins) == bool(self._fragments):
            raise BrokenPayload("a fragmented NAL unit has no beginning, or two")
        if begins:
            self._fragments.append(bytes([payload[0] & 0xE0 | kind]))
        elif _kind(self._fragments[0]) != kind:
            raise BrokenPayload("a fragmented NAL unit changes its type")
        self._fragments.append(payload[2:])
        if ends:
            unit = b"".join(self._fragments)
            self._fragments = []
            self._add_unit(unit)


def _kind(unit: bytes) -> int:
    """nal_unit_type. Raises BrokenPayload where forbidden_zero_bit says that bits are wrong."""
    if unit[0] & 0x80:
        raise BrokenPayload("a NAL unit says itself that it is damaged")
    return unit[0] & 0x1F


class Vp8:
    """RFC 7741: section 4.2 is the payload descriptor, 4.3 the header."""

    def __init__(self) -> None:
        self.begin(whole=False)

    def begin(self, *, whole: bool) -> None:
        # The descriptor says by itself where a frame begins.
        self._parts: list[bytes] = []
        self._bytes = 0

    def add(self, payload: bytes) -> None:
        if not payload:
            return
        first = payload[0] & 0x10 and not payload[0] & 0x07
        if bool(first) == bool(self._parts):
            raise BrokenPayload("a frame has no beginning, or two")
        part = payload[_descriptor_bytes(payload) :]
        if not part:
            raise BrokenPayload("a payload descriptor without a payload")
        self._bytes += len(part)
        if self._bytes > MOST_FRAME_BYTES:
            raise BrokenPayload(f"a frame of more than {MOST_FRAME_BYTES} bytes")
        self._parts.append(part)

    def end(self) -> tuple[bytes, bool] | None:
        frame = b"".join(self._parts)
        if not frame:
            return None
        key = not frame[0] & 1
        # RFC 6386, section 9.1: the start code, then width and height.
        if len(frame) < (10 if key else 3) or (key and frame[3:6] != b"\x9d\x01\x2a"):
            raise BrokenPayload("the frame's header is none of VP8's")
        return frame, key


def _descriptor_bytes(payload: bytes) -> int:
    size = 1
    if payload[0] & 0x80:
        fields = payload[1] if len(payload) > 1 else 0
        size = 2
        if fields & 0x80:  # PictureID, of one byte or two
            size += 2 if len(payload) > size and payload[size] & 0x80 else 1
        size += bool(fields & 0x40)  # TL0PICIDX
        size += bool(fields & 0x30)  # TID, KEYIDX
    return size
