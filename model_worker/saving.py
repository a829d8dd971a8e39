"""When sessions' memories are written down, and for whom."""

import time
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Final

from messages.files import SaveSession
from model_worker.engine import Engine
from model_worker.seat import Seat
from model_worker.snapshot import Snapshot
from model_worker.snapshot_header import Note, Option

_NOTHING: Final[Mapping[str, Note]] = MappingProxyType({})


class Saving:
    """save: is given snapshots for the sessions' next owners, at most `seconds` old where a memory
    changes. give: a channel, and what makes the snapshot that somebody wants to have there. None:
    nothing is written down."""

    def __init__(
        self,
        engine: Engine,
        save: Callable[[str, Snapshot], None] | None = None,
        give: Callable[[str, Callable[[], Snapshot]], None] | None = None,
        *,
        seconds: float = 5.0,
        option: Option = "exact",
    ) -> None:
        self._engine = engine
        self._save = save
        self._give = give
        self._seconds = seconds
        self._option: Option = option

    def due(self, seats: Iterable[Seat]) -> Seat | None:
        """The session whose latest snapshot is the oldest of those that are too old for what the
        memory holds."""
        if self._save is None:
            return None
        now = time.monotonic()
        due = [
            seat
            for seat in seats
            if now - seat.saved_at >= self._seconds and seat.progress != seat.saved
        ]
        return min(due, key=lambda seat: seat.saved_at, default=None)

    def save(self, seat: Seat, notes: Mapping[str, Note] = _NOTHING) -> None:
        """What the session holds now, for its next owner."""
        if self._save is None:
            return
        snapshot = self._made(seat, self._option, notes)
        seat.saved, seat.saved_at = seat.progress, time.monotonic()
        self._save(seat.lane.session, snapshot)

    def export(self, seat: Seat, wish: SaveSession) -> None:
        """What somebody wants to have, of this moment."""
        if self._give is not None:
            self._give(wish.channel, lambda: self._made(seat, wish.option))

    def _made(self, seat: Seat, option: Option, notes: Mapping[str, Note] = _NOTHING) -> Snapshot:
        snapshot = self._engine.snapshot(seat.memory, option, {**seat.notes(), **notes})
        snapshot.detach()
        return snapshot
