"""Whose packets are taken: RTP has no authentication, so the first that comes is the sender.

Knows nothing about the network; wall time is handed in.
"""

from typing import Final

from server.rtp_socket import Address

_RETURN_SECONDS: Final = 2.0

Source = tuple[Address, int]
"""An address and a synchronization source (SSRC)."""


class SourceLock:
    """One sender at a time. only: the IP address from which one may come; None: any.

    Another takes its place where the holder has shown no picture for stall_seconds; from the same
    IP address, where it has been silent for 2 s (a restarted sender has another port); from the
    same port at once (RFC 3550, section 8.2: a restarted sender has another SSRC).
    """

    def __init__(self, only: str | None, stall_seconds: float) -> None:
        self._only = only
        self._stall_seconds = stall_seconds
        self._heard_at = self._shown_at = 0.0
        self._left: tuple[Source | None, float] = (None, 0.0)
        self.holder: Source | None = None

    def admits(self, source: Source, now: float) -> bool:
        """Whether a packet of this source is taken (now: monotonic seconds). Where it is, the
        source is the holder."""
        if source == self.holder:
            self._heard_at = now
            return True
        if not self._may_hold(source, now):
            return False
        self._left = (self.holder, now)
        self.holder = source
        self._heard_at = self._shown_at = now
        return True

    def shown(self, now: float) -> None:
        """The holder has shown a picture."""
        self._shown_at = now

    def _may_hold(self, source: Source, now: float) -> bool:
        address, _ = source
        if self._only is not None and address[0] != self._only:
            return False
        if self.holder is None:
            return True
        left, left_at = self._left
        if source == left and now - left_at < self._stall_seconds:
            return False  # a late packet, or two that share a port
        held, _ = self.holder
        if address == held or now - self._shown_at > self._stall_seconds:
            return True
        return address[0] == held[0] and now - self._heard_at > min(
            _RETURN_SECONDS, self._stall_seconds
        )
