"""Frames out of RTP payloads: what all codecs have in common.

Knows nothing about the order of packets, and decodes nothing.
"""

from typing import Final, Literal, Protocol

Codec = Literal["H264", "VP8"]
"""What a sender of plain RTP may send; cameras that are pulled from may do more."""
MOST_FRAME_BYTES: Final = 2**23


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
