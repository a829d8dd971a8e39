"""Whether anybody still needs a session."""

import contextlib
import time
from collections.abc import Iterator

from server.settings import GatewaySettings


class Attendance:
    """Who has come to one session, and gone. Times are on the monotonic clock."""

    def __init__(self, settings: GatewaySettings) -> None:
        self._settings = settings
        self._created_at = self._left_at = self._asked_at = time.monotonic()
        self._attending = 0
        self.attached = False
        """Whether anybody has ever come."""

    def came(self) -> None:
        """A websocket or a camera has joined. It has as long to connect as a client to return."""
        self.attached = True
        self.left()

    def left(self, stay_seconds: float = 0.0) -> None:
        """Somebody has gone, and wants the session to stay so long."""
        self._left_at = max(self._left_at, time.monotonic() + stay_seconds)

    def asked(self) -> None:
        """A client has said something."""
        self._asked_at = time.monotonic()

    @contextlib.contextmanager
    def attended(self, stay_seconds: float = 0.0) -> Iterator[None]:
        """While this lasts, and so long after it, somebody needs the session, though no websocket
        has joined."""
        self.attached = True
        self._attending += 1
        try:
            yield
        finally:
            self._attending -= 1
            self.left(stay_seconds)

    def expired(
        self, now: float, websockets: int, frame_at: float | None, sender_at: float | None
    ) -> str | None:
        """Why nobody needs this session any more, or None. frame_at: when its last frame came;
        sender_at: when a sender that may come back was last heard, where there is one.

        A killed browser's connection still looks alive for half a minute, so what counts is the
        last frame, not the state of the connection.
        """
        settings = self._settings
        frame_at = frame_at or self._created_at
        if not self.attached:
            if now - self._created_at > settings.idle_seconds:
                return "Nobody joined it."
        elif websockets == 0 and self._attending == 0:
            gone_at, patience = max(self._left_at, frame_at), settings.orphan_seconds
            if sender_at is not None:
                gone_at = max(gone_at, sender_at)
                patience = max(patience, settings.return_seconds)
            if now - gone_at > patience:
                return "Its last client and its camera have gone."
        elif now - max(frame_at, self._asked_at) > settings.quiet_seconds:
            return "Nothing was seen or asked for too long."
        return None
