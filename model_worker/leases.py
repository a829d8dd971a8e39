"""Which sessions this worker holds, taken and kept on the broker, and which still have somebody.

A session has one owner, and every write of an owner is fenced (`scripts`). Shared by the worker's
threads.
"""

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from redis import Redis

from messages import keys
from messages.codec import encode
from messages.workers import WorkerCard
from model_worker import scripts

ABANDONED_SECONDS: Final = 14.0
"""How long the gateway's sign of life may be gone; its own TTL comes on top. It may be cut off, or
its clients on their way to another gateway."""
DEADLY: Final = 2
"""So many workers may die in a row with a session, where the last of them worked on it alone."""
MOST_DEATHS: Final = 5
"""So many may die whatever they worked on."""
_LEASE: Final = int(1000 * keys.LEASE_SECONDS)


@dataclass
class Lease:
    """A session that is held. `fence` is its fencing token, 1 for its first owner; `kv_bytes` what
    it takes; `turn` its place in the queue; `inbox_from` and `frames_from` are stream ids after
    which it is read. `deaths`: how many workers died lately while they had it; `alone`: the last
    of them while it worked on this session and on no other."""

    session: str
    worker: str
    fence: int
    kv_bytes: int
    kept_alive_at: float  # rising clock, seconds
    turn: float = 0.0
    inbox_from: bytes = b"0"
    frames_from: bytes = b"0"
    deaths: int = 0
    alone: bool = False
    handing_over: bool = field(default=False)
    """Whether nothing is read for it any more, since its next owner is going to."""

    @property
    def value(self) -> str:
        """As it stands on the broker."""
        return f"{self.worker} {self.fence}"

    @property
    def deadly(self) -> bool:
        """Whether the session is to be given up, or it takes one worker after the other."""
        return (self.alone and self.deaths >= DEADLY) or self.deaths >= MOST_DEATHS


class Leases:
    """The sessions of the worker of that name. Methods raise RedisError where the broker fails."""

    def __init__(
        self, client: "Redis", worker: str, abandoned_seconds: float = ABANDONED_SECONDS
    ) -> None:
        self._client = client
        self._worker = worker
        self._abandoned_seconds = abandoned_seconds
        self._lock = threading.Lock()
        self._held: dict[str, Lease] = {}
        self._claim = client.register_script(scripts.CLAIM)
        self._renew = client.register_script(scripts.RENEW)
        self._write = client.register_script(scripts.WRITE)
        self._store = client.register_script(scripts.STORE)
        self._release = client.register_script(scripts.RELEASE)
        self._hand_over = client.register_script(scripts.HAND_OVER)

    def __contains__(self, session: str) -> bool:
        with self._lock:
            return session in self._held

    def __len__(self) -> int:
        with self._lock:
            return len(self._held)

    def get(self, session: str) -> Lease | None:
        with self._lock:
            return self._held.get(session)

    def all(self) -> list[Lease]:
        with self._lock:
            return list(self._held.values())

    @property
    def kv_bytes(self) -> int:
        """What all held sessions take."""
        return sum(lease.kv_bytes for lease in self.all())

    def offer(self, free: int) -> None:
        """Say how many KV bytes are free; -1: no session is taken."""
        self._client.zadd(keys.FREE, {self._worker: free})

    def claim(
        self, session: str, kv_bytes: int, turn: float, *, give_way: bool
    ) -> Lease | Literal["gone", "another's"]:
        """Take a session from the queue, unless it is gone, or (give_way) a worker with more free
        bytes is to have it."""
        fence, deaths, alone = self._claim(
            keys=[
                keys.QUEUE,
                keys.owner(session),
                keys.fence(session),
                keys.alive(session),
                keys.FREE,
                keys.former(session),
            ],
            args=[
                session,
                self._worker,
                keys.worker(""),
                _LEASE,
                keys.FENCE_TTL_SECONDS,
                int(give_way),
                keys.hand(""),
                keys.DEATHS_SECONDS,
            ],
        )
        if fence <= 0:
            return "gone" if fence == 0 else "another's"
        kept_alive_at = time.monotonic() + keys.ALIVE_TTL_SECONDS
        lease = Lease(
            session,
            self._worker,
            fence,
            kv_bytes,
            kept_alive_at,
            turn,
            deaths=deaths,
            alone=bool(alone),
        )
        with self._lock:
            self._held[session] = lease
        return lease

    def forget(self, session: str) -> None:
        """The session has ended here."""
        with self._lock:
            self._held.pop(session, None)

    def survived(self, session: str) -> None:
        """The session was lost, but not by this worker's death."""
        self._client.hdel(keys.former(session), self._worker)

    # What a pipe is given comes back as 0 where the lease is lost, and 1 otherwise.

    def write(self, pipe: Any, lease: Lease, messages: Sequence[bytes]) -> None:
        """Put events of one session on the pipe, fenced."""
        lasting = (keys.EVENTS_LENGTH, keys.EVENTS_TTL_SECONDS)
        self._write(
            keys=[*_held_keys(lease), keys.events(lease.session)],
            args=[*_held_args(lease), *lasting, *messages],
            client=pipe,
        )

    def store(self, lease: Lease, key: str, value: bytes, seconds: int) -> bool:
        """Set a value of a session, fenced; False where the lease is lost."""
        args = [*_held_args(lease), value, seconds]
        return bool(self._store(keys=[*_held_keys(lease), key], args=args))

    def release(self, pipe: Any, lease: Lease) -> None:
        """Put on the pipe the end of a session: its keys go, its last events a little later."""
        session = lease.session
        ended = (keys.frames, keys.inbox, keys.session, keys.snapshot, keys.former)
        self._release(
            keys=[*_held_keys(lease), keys.events(session), *(key(session) for key in ended)],
            args=[*_held_args(lease), keys.ENDED_TTL_SECONDS],
            client=pipe,
        )

    def give_back(self, pipe: Any, lease: Lease, turn: float) -> None:
        """Put on the pipe that a session waits for a worker again."""
        args = [*_held_args(lease), turn, self._worker]
        former = keys.former(lease.session)
        self._hand_over(keys=[*_held_keys(lease), former], args=args, client=pipe)

    def renew(self, card: WorkerCard) -> tuple[list[str], list[str]]:
        """Say that the worker lives, and what it holds. The sessions that nobody keeps alive, and
        those that were lost to another worker, which are forgotten."""
        leases, now = self.all(), time.monotonic()
        pipe = self._client.pipeline(transaction=False)
        pipe.set(keys.worker(self._worker), encode(card), ex=keys.CARD_TTL_SECONDS)
        for lease in leases:
            pipe.exists(keys.alive(lease.session))
            self._renew(keys=_held_keys(lease), args=_held_args(lease), client=pipe)
        replies = pipe.execute()
        alive, held = replies[1::2], replies[2::2]
        lost = [lease.session for lease, ours in zip(leases, held, strict=True) if not ours]
        for session in lost:
            self.forget(session)
        signs = {lease.session: bool(sign) for lease, sign in zip(leases, alive, strict=True)}
        return self._abandoned(signs, now), lost

    def forgive(self) -> None:
        """The broker was away: nobody could keep a session alive."""
        with self._lock:
            for lease in self._held.values():
                lease.kept_alive_at = time.monotonic() + keys.ALIVE_TTL_SECONDS

    def farewell(self) -> None:
        """The worker stops: nobody gives way to it any more."""
        pipe = self._client.pipeline(transaction=False)
        pipe.delete(keys.worker(self._worker))
        pipe.zrem(keys.FREE, self._worker)
        pipe.execute()

    def _abandoned(self, alive: Mapping[str, bool], now: float) -> list[str]:
        with self._lock:
            gone = []
            for session, lease in self._held.items():
                if alive.get(session, True):
                    lease.kept_alive_at = max(now, lease.kept_alive_at)
                elif now - lease.kept_alive_at > self._abandoned_seconds:
                    gone.append(session)
            return gone


def _held_keys(lease: Lease) -> list[str]:
    return [keys.owner(lease.session), keys.fence(lease.session), keys.QUEUE]


def _held_args(lease: Lease) -> list[str | int]:
    return [lease.value, lease.session, lease.fence, _LEASE, keys.FENCE_TTL_SECONDS]
