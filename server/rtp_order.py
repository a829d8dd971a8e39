"""RTP packets back in the order in which they were sent; gives up on those that do not come.

Knows nothing about codecs or the network; wall time is handed in.
"""

from typing import Final

from server.rtp_counters import RtpCounters
from server.rtp_packet import SEQUENCE_BITS, RtpPacket, difference

# How long a missing packet is waited for. What builds on a lost one is of no use before the next
# keyframe, so patience costs nothing that would be seen.
HOLD_SECONDS: Final = 0.2
MOST_HELD: Final = 2048
MOST_HELD_BYTES: Final = 2**22
# RFC 3550, appendix A.1: beyond these a number is of another sequence, once the next one follows.
_MOST_AHEAD: Final = 3000
_MOST_BEHIND: Final = 3000

Ordered = tuple[RtpPacket, bool]
"""A packet, and whether packets before it were lost, or are unknown."""


class PacketOrder:
    """Packets of one source."""

    def __init__(self, counters: RtpCounters) -> None:
        self._counters = counters
        self._next: int | None = None  # goes on where the 16 bits begin again
        # With the time of its arrival; the first of them has waited longest.
        self._held: dict[int, tuple[RtpPacket, float]] = {}
        self._held_bytes = 0
        self._stray: RtpPacket | None = None

    def add(self, packet: RtpPacket, now: float) -> list[Ordered]:
        """Those whose turn it is, now that this one has come (now: monotonic seconds)."""
        if self._next is None:
            self._next = packet.sequence + 1
            return [(packet, True)]
        ahead = difference(packet.sequence, self._next & 0xFFFF, SEQUENCE_BITS)
        if not -_MOST_BEHIND <= ahead <= _MOST_AHEAD:
            return self._jump(packet)
        self._stray = None
        number = self._next + ahead
        if ahead < 0 or number in self._held:
            self._counters.packets_late += 1
            return []
        if ahead == 0 and not self._held:  # as nearly all do
            self._next += 1
            return [(packet, False)]
        self._held[number] = packet, now
        self._held_bytes += len(packet.payload)
        return self._ready(lost=False) + self.expire(now)

    def expire(self, now: float) -> list[Ordered]:
        """Those that have waited long enough for the ones before them."""
        out: list[Ordered] = []
        while self._held and (
            now - next(iter(self._held.values()))[1] > HOLD_SECONDS
            or len(self._held) > MOST_HELD
            or self._held_bytes > MOST_HELD_BYTES
        ):
            assert self._next is not None
            first = min(self._held)
            self._counters.packets_lost += first - self._next
            self._next = first
            out += self._ready(lost=True)
        return out

    def _ready(self, *, lost: bool) -> list[Ordered]:
        assert self._next is not None
        out: list[Ordered] = []
        while (held := self._held.pop(self._next, None)) is not None:
            packet, _ = held
            self._held_bytes -= len(packet.payload)
            out.append((packet, lost))
            lost = False
            self._next += 1
        return out

    def _jump(self, packet: RtpPacket) -> list[Ordered]:
        """Another sequence has begun where two packets follow one another; one alone strayed."""
        stray, self._stray = self._stray, packet
        if stray is None or packet.sequence != (stray.sequence + 1) & 0xFFFF:
            self._counters.packets_late += stray is not None
            return []
        self._stray = None
        self._held.clear()
        self._held_bytes = 0
        self._next = packet.sequence + 1
        return [(stray, True), (packet, False)]
