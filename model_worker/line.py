"""The queue of sessions without a worker, as one worker sees it: which of them it takes next."""

import logging
import time
from collections.abc import Callable
from typing import Final

from redis import Redis

from messages import keys
from messages.codec import MalformedMessage, decode_record
from messages.sessions import OpenSession, SessionRecord
from messages.versions import of_another_version
from messages.workers import PROTOCOL
from model_worker.leases import Lease, Leases

log = logging.getLogger(__name__)

PATIENCE_SECONDS: Final = 0.3
"""How long a session is left to the worker with most free bytes: it may have stopped."""
_LOOKED_AT: Final = 32


class Line:
    """needed: the KV bytes of a session, ValueError for one that cannot be. model: only this one's
    sessions are taken over from other workers. kv_bytes and max_sessions: what all sessions may
    take together."""

    def __init__(
        self,
        client: "Redis",
        leases: Leases,
        needed: Callable[[OpenSession], int],
        model: str,
        *,
        kv_bytes: int,
        max_sessions: int,
    ) -> None:
        self._client = client
        self._leases = leases
        self._needed = needed
        self._model = model
        self._kv_bytes = kv_bytes
        self._max_sessions = max_sessions
        self._seen_at: dict[str, float] = {}
        self._not_before: dict[str, float] = {}
        self.closed = False
        """Whether nothing is taken any more."""

    @property
    def free(self) -> int:
        """KV bytes that are not taken; -1 where no session is."""
        if self.closed or len(self._leases) >= self._max_sessions:
            return -1
        return self._kv_bytes - self._leases.kv_bytes

    def offer(self) -> None:
        """Tell the other workers what is free here. Raises RedisError."""
        self._leases.offer(self.free)

    def shun(self, session: str, seconds: float) -> None:
        """It could not be opened here: leave it to others for a while."""
        self._not_before[session] = time.monotonic() + seconds

    def next(self) -> tuple[Lease, SessionRecord] | None:
        """The session whose turn it is, where it fits; nobody overtakes one that does not fit yet.
        Those whose clients are away are passed over: they may never come again, and room that is
        kept for them serves nobody. Raises RedisError."""
        if self.free < 0:
            return None
        waiting = [name.decode() for name in self._client.zrange(keys.QUEUE, 0, _LOOKED_AT - 1)]
        now = time.monotonic()
        self._seen_at = {session: self._seen_at.get(session, now) for session in waiting}
        self._not_before = {s: at for s, at in self._not_before.items() if at > now}
        if not waiting:
            return None
        records = self._client.mget([keys.session(session) for session in waiting])
        signs = self._client.mget([keys.alive(session) for session in waiting])
        for session, data, sign in zip(waiting, records, signs, strict=True):
            if session in self._leases or session in self._not_before or sign == keys.AWAY:
                continue
            record = self._read(session, data)
            if record is None or record.protocol != PROTOCOL:
                continue  # a worker of the gateway's version takes it
            if record.opened is not None and record.opened.model != self._model:
                continue
            imported = record.imported
            if imported is not None and imported.model not in (None, self._model):
                continue
            needed = self._bytes(record.wanted)
            if self.free < needed <= self._kv_bytes:
                return None
            give_way = now - self._seen_at[session] < PATIENCE_SECONDS
            claimed = self._leases.claim(session, needed, record.turn, give_way=give_way)
            if claimed == "another's":
                return None
            if claimed != "gone":
                self.offer()
                return claimed, record
        return None

    def _read(self, session: str, data: bytes | None) -> SessionRecord | None:
        try:
            if data is not None:
                return decode_record(data)
        except MalformedMessage as error:
            if data is not None and of_another_version(data):
                return None  # as one that can be read
            log.warning("a session that waits cannot be read: %s", error)
        self._client.zrem(keys.QUEUE, session)
        return None

    def _bytes(self, wanted: OpenSession) -> int:
        """One that can never fit, or never be, is taken all the same, to be refused in words."""
        try:
            return self._needed(wanted)
        except ValueError:
            return 0
