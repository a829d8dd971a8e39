"""Which sessions this worker holds, told to the broker, and which still have somebody.

A session has one owner. Shared by the worker's threads.
"""

import threading
import time
from typing import Any, Final

from redis import Redis

from messages import keys
from messages.codec import encode
from messages.workers import WorkerCard

ABANDONED_SECONDS: Final = 2.5
"""How long the gateway's sign of life may be gone; its own TTL comes on top."""


class Leases:
    """The sessions of the worker of that name. Methods raise RedisError where the broker fails."""

    def __init__(self, client: "Redis", worker: str) -> None:
        self._client = client
        self._worker = worker
        self._lock = threading.Lock()
        self._kept_alive_at: dict[str, float] = {}  # rising clock, seconds

    def __contains__(self, session: str) -> bool:
        with self._lock:
            return session in self._kept_alive_at

    def sessions(self) -> list[str]:
        with self._lock:
            return list(self._kept_alive_at)

    def claim(self, session: str) -> bool:
        """Of all workers that read the control stream, one gets True, however often it asks."""
        key, name = keys.owner(session), self._worker.encode()
        if not self._client.set(key, name, nx=True, ex=keys.OWNER_TTL_SECONDS) and (
            self._client.get(key) != name  # an earlier reply may have been lost
        ):
            return False
        with self._lock:
            self._kept_alive_at[session] = time.monotonic() + keys.ALIVE_TTL_SECONDS
        return True

    def release(self, session: str, pipe: Any) -> None:
        """Forget it, and put the removal of its keys on the pipe."""
        with self._lock:
            self._kept_alive_at.pop(session, None)
        pipe.delete(keys.owner(session), keys.frames(session))

    def renew(self, card: WorkerCard) -> list[str]:
        """Say that the worker lives and what it holds; the sessions that nobody keeps alive."""
        sessions, now = self.sessions(), time.monotonic()
        pipe = self._client.pipeline(transaction=False)
        pipe.set(keys.worker(self._worker), encode(card), ex=keys.CARD_TTL_SECONDS)
        for session in sessions:
            pipe.exists(keys.alive(session))
            pipe.set(keys.owner(session), self._worker, ex=keys.OWNER_TTL_SECONDS)
        alive = [bool(reply) for reply in pipe.execute()[1::2]]
        return self._abandoned(dict(zip(sessions, alive, strict=True)), now)

    def forgive(self) -> None:
        """The broker was away: nobody could keep a session alive."""
        with self._lock:
            now = time.monotonic() + keys.ALIVE_TTL_SECONDS
            self._kept_alive_at = dict.fromkeys(self._kept_alive_at, now)

    def _abandoned(self, alive: dict[str, bool], now: float) -> list[str]:
        with self._lock:
            gone = []
            for session, kept_alive_at in self._kept_alive_at.items():
                if alive.get(session, True):
                    self._kept_alive_at[session] = max(now, kept_alive_at)
                elif now - kept_alive_at > ABANDONED_SECONDS:
                    gone.append(session)
            return gone

    def orphans(self) -> list[str]:
        """Sessions that somebody keeps alive and whose owner is dead: their memory is lost."""
        prefix = len(keys.alive(""))
        mine = set(self.sessions())
        alive = {key.decode()[prefix:] for key in self._client.scan_iter(keys.alive("*"), 1000)}
        strangers = sorted(alive - mine)
        if not strangers:
            return []
        owners = self._client.mget([keys.owner(session) for session in strangers])
        owned = [(s, owner.decode()) for s, owner in zip(strangers, owners, strict=True) if owner]
        living = {name: bool(self._client.exists(keys.worker(name))) for _, name in owned}
        return [session for session, name in owned if not living[name]]
