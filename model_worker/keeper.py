"""Puts snapshots away on a thread of its own, so that no session waits for a disk or a network."""

import logging
import threading
import time
from collections.abc import Iterator
from typing import Final

from model_worker.leases import Leases
from model_worker.metrics import WorkerMetrics
from model_worker.outage import Outage
from model_worker.snapshot import Snapshot
from model_worker.store import SnapshotStore, StoreError

log = logging.getLogger(__name__)

_LOOK_SECONDS: Final = 0.5


class Keeper:
    """Of each session the newest snapshot waits; a newer one takes its place."""

    def __init__(
        self, store: SnapshotStore, leases: Leases, metrics: WorkerMetrics | None = None
    ) -> None:
        self._metrics = metrics or WorkerMetrics("")
        self._store = store
        self._leases = leases
        self._changed = threading.Condition()
        self._waiting: dict[str, Snapshot] = {}
        self._writing: str | None = None
        self._outage = Outage("putting snapshots away")
        self.written = 0
        self.failed = 0
        self.seconds = 0.0
        """How long the latest one took."""

    def put(self, session: str, snapshot: Snapshot) -> None:
        """A detached one. Never waits."""
        with self._changed:
            self._waiting[session] = snapshot
            self._changed.notify_all()

    def drop(self, session: str) -> None:
        """The session has ended."""
        with self._changed:
            self._waiting.pop(session, None)
        try:
            self._store.remove(session)
        except (StoreError, OSError) as error:
            log.warning("a snapshot was not removed: %s", error)

    def read(self, session: str) -> bytes | None:
        """The session's latest one. Raises StoreError."""
        return self._store.read(session)

    def flush(self, seconds: float) -> bool:
        """Wait until all is put away, so long at most; whether it is."""
        with self._changed:
            return self._changed.wait_for(lambda: not (self._waiting or self._writing), seconds)

    def run(self, stopping: threading.Event) -> None:
        """Writes until then."""
        while not stopping.is_set():
            with self._changed:
                if not self._waiting and not self._changed.wait(_LOOK_SECONDS):
                    continue
                self._writing = next(iter(self._waiting), None)
                if self._writing is None:
                    continue
                snapshot = self._waiting.pop(self._writing)
            self._write(self._writing, snapshot)
            with self._changed:
                self._writing = None
                self._changed.notify_all()

    def _write(self, session: str, snapshot: Snapshot) -> None:
        lease = self._leases.get(session)
        if lease is None:
            return  # it has ended, or is another worker's
        began = time.monotonic()
        size = 0

        def counted() -> Iterator[bytes]:
            nonlocal size
            for piece in snapshot:
                size += len(piece)
                yield piece

        try:
            self._store.write(lease, counted())
        except StoreError as error:
            self.failed += 1
            self._metrics.snapshots["failed"].inc()
            self._outage.seconds(error)  # it is said once; the next snapshot tries again
            return
        self._outage.over()
        self.written += 1
        self.seconds = time.monotonic() - began
        self._metrics.snapshots["written"].inc()
        self._metrics.snapshot.observe(self.seconds)
        self._metrics.snapshot_bytes.inc(size)
        if lease.session not in self._leases:  # it has ended meanwhile
            self.drop(session)
