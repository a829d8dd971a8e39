"""Where snapshots of sessions are put, and found by the session's next owner."""

import hashlib
import logging
import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final, Protocol

from redis import Redis
from redis.exceptions import RedisError

from messages import keys
from model_worker.leases import Lease, Leases

log = logging.getLogger(__name__)

TTL_SECONDS: Final = 3600
"""What nobody came for is removed after so long."""


class StoreError(RuntimeError):
    """A snapshot could not be put away or fetched; the message says why."""


class SnapshotStore(Protocol):
    """A session has one snapshot: that of its latest owner. Methods raise StoreError."""

    def write(self, lease: Lease, pieces: Iterable[bytes]) -> None:
        """Put it in the place of the former one, whole or not at all; a stale owner's is of no
        effect."""

    def read(self, session: str) -> bytes | None:
        """The latest one, None where there is none."""

    def remove(self, session: str) -> None:
        """The session has ended."""


class BrokerStore:
    """On the broker: for small memories, or a broker with room for all sessions'."""

    def __init__(self, client: "Redis", leases: Leases) -> None:
        self._client = client
        self._leases = leases

    def write(self, lease: Lease, pieces: Iterable[bytes]) -> None:
        value = b"".join(pieces)
        try:
            self._leases.store(lease, keys.snapshot(lease.session), value, TTL_SECONDS)
        except RedisError as error:
            raise StoreError(f"the broker takes no {len(value) / 1e6:.1f} MB: {error}") from error

    def read(self, session: str) -> bytes | None:
        try:
            value: bytes | None = self._client.get(keys.snapshot(session))
        except RedisError as error:
            raise StoreError(f"the broker does not answer: {error}") from error
        return value

    def remove(self, session: str) -> None:
        """The lease's release has done so."""


class FolderStore:
    """Files in a folder that all workers of these sessions share. A file's name holds its owner's
    fencing token, so that a stale owner's file is never the latest. Files are for their user only:
    a snapshot is as private as the stream."""

    def __init__(self, folder: Path) -> None:
        """Raises StoreError for a folder that cannot be written to."""
        self._folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            probe = folder / f".{os.getpid()}.probe"
            probe.touch()
            probe.unlink()
            self._clear()
        except OSError as error:
            raise StoreError(f"{folder} cannot hold snapshots: {error}") from error

    def write(self, lease: Lease, pieces: Iterable[bytes]) -> None:
        path = self._folder / f"{_name(lease.session)}.{lease.fence:08d}.snapshot"
        partial = path.with_suffix(f".{os.getpid()}.partial")
        try:
            descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.writelines(pieces)
            partial.replace(path)
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise StoreError(f"{self._folder} takes no snapshot: {error}") from error
        for older in self._of(lease.session)[:-1]:
            older.unlink(missing_ok=True)

    def read(self, session: str) -> bytes | None:
        try:
            found = self._of(session)
            return found[-1].read_bytes() if found else None
        except OSError as error:
            raise StoreError(f"a snapshot in {self._folder} cannot be read: {error}") from error

    def remove(self, session: str) -> None:
        for path in self._of(session):
            path.unlink(missing_ok=True)

    def _of(self, session: str) -> list[Path]:
        """The session's files, the latest owner's last."""
        return sorted(self._folder.glob(f"{_name(session)}.*.snapshot"))

    def _clear(self) -> None:
        for path in self._folder.glob("*.*.*"):
            if path.suffix in (".snapshot", ".partial"):
                age = time.time() - path.stat().st_mtime
                if age > TTL_SECONDS:
                    path.unlink(missing_ok=True)


def _name(session: str) -> str:
    """No session's id becomes a path, and a folder's listing opens no session."""
    return hashlib.sha256(session.encode()).hexdigest()[:32]
