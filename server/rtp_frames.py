"""Whole frames out of ordered RTP packets; after a loss, none before the next keyframe.

Every frame but a keyframe builds on those before it: one that follows a loss would show a smeared
picture. Knows nothing about the network, and decodes nothing.
"""

from dataclasses import dataclass

from server.rtp_counters import RtpCounters
from server.rtp_packet import TIMESTAMP_BITS, RtpPacket, Unwrapped
from server.rtp_payload import BrokenPayload, Depacketizer, MissingParameterSets


@dataclass(frozen=True, slots=True)
class EncodedFrame:
    """timestamp: in units of 1/90000 s; goes on where its 32 bits begin again."""

    data: bytes
    timestamp: int
    key: bool


class FrameAssembly:
    """Frames of one source."""

    def __init__(self, depacketizer: Depacketizer, counters: RtpCounters) -> None:
        self._depacketizer = depacketizer
        self._counters = counters
        self._time = Unwrapped(TIMESTAMP_BITS)
        self._timestamp: int | None = None  # of the frame under way
        self._ended: int | None = None  # the last picture's, where a marker ended it
        self._good = False  # so far
        self._marked = True
        self.waiting = True
        """For a keyframe."""
        self.missing_sets = False
        """The last keyframe could not be used, because SPS and PPS never came."""

    def add(self, packet: RtpPacket, lost: bool) -> list[EncodedFrame]:
        """The frames that end with this packet, or before it; lost: packets before it were."""
        if not packet.payload and not lost:
            return []  # padding, or to keep a way open
        if lost:
            self._lose()
        done: list[EncodedFrame] = []
        if self._timestamp is not None and self._timestamp != packet.timestamp:
            done += self._end()  # its sender sets no markers
        if self._timestamp is None:
            self._begin(packet.timestamp, whole=not lost)
        self._take(packet.payload)
        if packet.marker and self._marked:
            done += self._end(marked=True)
        return done

    def _begin(self, timestamp: int, *, whole: bool) -> None:
        if self._ended == timestamp and whole:
            # A marker in the midst of a frame: this sender marks slices. Ends are where the next
            # frame begins, then.
            self._marked = False
            self.waiting = True
            self._good = False
        else:
            self._good = True
        self._timestamp = timestamp
        self._ended = None
        self._depacketizer.begin(whole=whole)

    def _lose(self) -> None:
        """The frame under way misses something, and so does what follows."""
        self.waiting = True
        if self._timestamp is not None:
            self._counters.frames_broken += 1
            self._timestamp = None

    def _take(self, payload: bytes) -> None:
        if not self._good:
            return
        try:
            self._depacketizer.add(payload)
        except BrokenPayload:
            self._good = False

    def _end(self, *, marked: bool = False) -> list[EncodedFrame]:
        assert self._timestamp is not None
        timestamp, self._timestamp = self._timestamp, None
        frame = None
        if self._good:
            try:
                frame = self._depacketizer.end()
            except BrokenPayload as error:
                self.missing_sets = isinstance(error, MissingParameterSets)
                self._good = False
        if not self._good:
            self._counters.frames_broken += 1
            self.waiting = True
            return []
        if frame is None:
            return []
        self._ended = timestamp if marked else None
        data, key = frame
        if self.waiting and not key:
            self._counters.frames_skipped += 1
            return []
        self.waiting = self.missing_sets = False
        return [EncodedFrame(data, self._time(timestamp), key)]
