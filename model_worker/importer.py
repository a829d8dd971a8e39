"""Fetches the snapshots with which sessions begin, each on a thread of its own."""

import logging
import threading
import time
from typing import Final

from redis import Redis
from redis.exceptions import RedisError

from messages import keys
from messages.codec import MalformedMessage, decode_piece
from messages.files import STALLED_SECONDS, Imported
from messages.sessions import OpenSession
from model_worker.mailbox import Import, Mailbox
from model_worker.memory.container import SnapshotError
from model_worker.snapshot_reader import SnapshotReader

log = logging.getLogger(__name__)

_BLOCK_SECONDS: Final = 1


class Importer:
    """Puts each session into the mailbox when its snapshot is there, or why there is none."""

    def __init__(
        self, client: "Redis", mailbox: Mailbox, stalled_seconds: float = STALLED_SECONDS
    ) -> None:
        self._client = client
        self._mailbox = mailbox
        self._stalled_seconds = stalled_seconds

    def fetch(self, wanted: OpenSession, imported: Imported) -> None:
        """Does not wait for it."""
        given = (wanted, imported.channel)
        threading.Thread(target=self._fetch, args=given, name="import", daemon=True).start()

    def _fetch(self, wanted: OpenSession, channel: str) -> None:
        try:
            mail = Import(wanted, SnapshotReader(self._pieces(channel)))
        except (SnapshotError, MalformedMessage, RedisError) as error:
            log.warning("session %.8s: its snapshot cannot be used: %s", wanted.session, error)
            mail = Import(wanted, None, str(error))
        self._mailbox.put(mail)

    def _pieces(self, channel: str) -> list[bytes]:
        """All of it: the model's thread is not to wait for a network."""
        parts = []
        heard_at = time.monotonic()
        while time.monotonic() - heard_at < self._stalled_seconds:
            found = self._client.blpop([keys.file(channel)], timeout=_BLOCK_SECONDS)
            if found is None:
                continue
            heard_at = time.monotonic()
            piece = decode_piece(found[1])
            if piece.problem:
                raise SnapshotError(piece.problem)
            parts.append(piece.data)
            if piece.last:
                return parts
        raise SnapshotError("the rest of the snapshot did not come")
