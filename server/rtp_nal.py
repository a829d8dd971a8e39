"""Frames of NAL units out of RTP payloads, as H.264 (RFC 6184) and H.265 (RFC 7798) have them:
single units, several in one payload, and units in fragments.
"""

from abc import ABC, abstractmethod
from collections.abc import Container, Sequence
from typing import ClassVar, Final

from server.rtp_payload import MOST_FRAME_BYTES, BrokenPayload

_START: Final = b"\0\0\0\1"
_MOST_SETS: Final = 64
_MOST_SET_BYTES: Final = 16384


class NalFrames(ABC):
    """A Depacketizer. parameter_sets: from an SDP, for keyframes that come without; those that come
    in the stream are kept, too."""

    HEADER_BYTES: ClassVar[int]
    KINDS: ClassVar[int]
    """The bits of a fragment's header that are the unit's type."""
    UNITS: ClassVar[Container[int]]
    """The types of what is a NAL unit by itself."""
    AGGREGATE: ClassVar[int]
    FRAGMENT: ClassVar[int]
    SLICES: ClassVar[Container[int]]
    KEYS: ClassVar[Container[int]]
    """The types of a keyframe's slices."""
    SETS: ClassVar[Container[int]]
    FIRST_SET: ClassVar[int]
    """The set with which another series of them begins."""

    def __init__(self, parameter_sets: Sequence[bytes] = ()) -> None:
        self._sets = [unit for unit in parameter_sets if len(unit) > self.HEADER_BYTES]
        self.begin(whole=False)

    def begin(self, *, whole: bool) -> None:
        self._whole = whole
        self._units: list[bytes] = []
        self._fragments: list[bytes] = []
        self._fragmented = 0  # the type
        self._bytes = 0

    def add(self, payload: bytes) -> None:
        if not payload:
            return
        self._bytes += len(payload)
        if self._bytes > MOST_FRAME_BYTES:
            raise BrokenPayload(f"a frame of more than {MOST_FRAME_BYTES} bytes")
        kind = self.kind(payload)
        if kind == self.FRAGMENT:
            self._add_fragment(payload)
        elif self._fragments:
            raise BrokenPayload("a fragmented NAL unit has no end")
        elif kind == self.AGGREGATE:
            self._add_aggregate(payload)
        elif kind in self.UNITS:
            self._add_unit(payload)
        else:
            self.pass_over(kind)

    def end(self) -> tuple[bytes, bool] | None:
        if self._fragments:
            raise BrokenPayload("a fragmented NAL unit has no end")
        kinds = [self.kind(unit) for unit in self._units]
        if not any(kind in self.SLICES for kind in kinds):
            return None  # parameter sets and the like, which are kept
        key = any(kind in self.KEYS for kind in kinds)
        if not self._whole and not (key and self.begins(kinds)):
            raise BrokenPayload("the beginning of the frame is missing")
        units = self.with_sets(kinds) if key else self._units
        return b"".join(_START + unit for unit in units), key

    @abstractmethod
    def kind(self, unit: bytes) -> int:
        """nal_unit_type. Raises BrokenPayload for what is none."""

    @abstractmethod
    def header(self, fragment: bytes, kind: int) -> bytes:
        """Of the unit of that type that begins with this fragment."""

    @abstractmethod
    def pass_over(self, kind: int) -> None:
        """What is no NAL unit. Raises BrokenPayload where it matters."""

    @abstractmethod
    def begins(self, kinds: list[int]) -> bool:
        """Whether the keyframe of units of these types has its beginning for certain."""

    @abstractmethod
    def with_sets(self, kinds: list[int]) -> list[bytes]:
        """The units of a keyframe with what is needed to decode it. Raises
        MissingParameterSets."""

    @property
    def first_slice(self) -> bytes:
        """Of the frame, which has one."""
        return next(unit for unit in self._units if self.kind(unit) in self.SLICES)

    def _add_unit(self, unit: bytes) -> None:
        kind = self.kind(unit)
        if kind in self.SETS and unit not in self._sets and len(unit) <= _MOST_SET_BYTES:
            if kind == self.FIRST_SET:
                self._sets = []
            if len(self._sets) < _MOST_SETS:
                self._sets.append(unit)
        self._units.append(unit)

    def _add_aggregate(self, payload: bytes) -> None:
        at = self.HEADER_BYTES
        while at < len(payload):
            size = int.from_bytes(payload[at : at + 2], "big")
            unit = payload[at + 2 : at + 2 + size]
            if size == 0 or len(unit) < size:
                raise BrokenPayload("an aggregation packet is cut off")
            if self.kind(unit) not in self.UNITS:
                raise BrokenPayload("an aggregation packet holds what is no NAL unit")
            self._add_unit(unit)
            at += 2 + size

    def _add_fragment(self, payload: bytes) -> None:
        at = self.HEADER_BYTES
        if len(payload) < at + 2:
            raise BrokenPayload("a fragment of nothing")
        begins, ends, kind = payload[at] & 0x80, payload[at] & 0x40, payload[at] & self.KINDS
        if (begins and ends) or kind not in self.UNITS or bool(begins) == bool(self._fragments):
            raise BrokenPayload("a fragmented NAL unit has no beginning, or two")
        if begins:
            self._fragments, self._fragmented = [self.header(payload, kind)], kind
        elif kind != self._fragmented:
            raise BrokenPayload("a fragmented NAL unit changes its type")
        self._fragments.append(payload[at + 1 :])
        if ends:
            unit, self._fragments = b"".join(self._fragments), []
            self._add_unit(unit)
