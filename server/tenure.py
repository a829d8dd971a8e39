"""Which worker has a session, and what its clients are told when that changes."""

from collections.abc import Callable
from typing import Final

from messages.sessions import SessionMoved
from server.broadcast import Event

_BACK: Final = "The worker is back."
_GONE: Final = "The model worker went silent; the session waits for another."


class Tenure:
    """tell: tells the clients. Times are on the monotonic clock, in seconds."""

    def __init__(self, session: str, worker: str, tell: Callable[[Event], object]) -> None:
        self._session = session
        self._tell = tell
        self._ownerless_since: float | None = None
        self.worker = worker
        """The one that has it, or had it last."""
        self.moving = False
        """Whether it is lost, and the session waits for another."""

    def seen(self, worker: str | None, now: float) -> SessionMoved | None:
        """Who has the lease, None for nobody. Something is returned where the worker that was
        believed to be lost is back."""
        if worker is None:
            self._ownerless_since = self._ownerless_since or now
            return None
        self._ownerless_since = None
        if not self.moving or worker != self.worker:
            return None
        return SessionMoved(self._session, worker, True, 0.0, True, _BACK)

    def ownerless_seconds(self, now: float) -> float:
        """For how long nobody has had the lease."""
        return 0.0 if self._ownerless_since is None else now - self._ownerless_since

    def look_for_another(self) -> None:
        """The session waits for the next worker."""
        self.moving = True
        self._tell({"type": "lookback.session.moving", "message": _GONE})

    def moved(self, moved: SessionMoved) -> None:
        """A worker has the session again."""
        self.moving, self.worker = False, moved.worker
        self._tell(
            {
                "type": "lookback.session.moved",
                "restored": moved.restored,
                "lost_seconds": moved.lost_seconds,
                "message": moved.message,
            }
        )
