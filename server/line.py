"""The queue of sessions that wait for a worker, as a gateway sees it. Workers take from it.

Methods raise RedisError where the broker fails.
"""

import time
from typing import Any

from messages import keys
from messages.codec import MalformedMessage, decode_record, encode
from messages.files import Imported
from messages.sessions import OpenSession, SessionRecord
from messages.workers import PROTOCOL


class Line:
    """A place in it is held as long as the session's sign of life stands."""

    def __init__(self, broker: Any) -> None:
        self._broker = broker

    async def join(
        self,
        wanted: OpenSession,
        owner: str | None,
        party: str,
        hold_seconds: float,
        imported: Imported | None = None,
    ) -> SessionRecord:
        """At its end."""
        turn, now = float(await self._broker.incr(keys.TURN)), time.time()
        record = SessionRecord(
            PROTOCOL, wanted, turn, now, owner=owner, party=party, imported=imported
        )
        await self._enter(record, turn, hold_seconds)
        return record

    async def again(self, record: SessionRecord) -> None:
        """Before all that are new: its worker is lost."""
        await self._enter(record, keys.FIRST_IN_LINE, keys.ALIVE_TTL_SECONDS)

    async def _enter(self, record: SessionRecord, turn: float, hold_seconds: float) -> None:
        session = record.wanted.session
        async with self._broker.pipeline(transaction=True) as pipe:
            self.write(pipe, record)
            pipe.set(keys.alive(session), b"1", px=int(1000 * hold_seconds))
            pipe.zadd(keys.QUEUE, {session: turn})
            pipe.xadd(keys.WAKE, {keys.FIELD: b""}, maxlen=1, approximate=False)
            await pipe.execute()

    def write(self, pipe: Any, record: SessionRecord) -> None:
        """What is known of a session, onto the pipe."""
        key = keys.session(record.wanted.session)
        pipe.set(key, encode(record), ex=keys.RECORD_TTL_SECONDS)

    async def hold(self, session: str, seconds: float, *, away: bool = False) -> None:
        """Its place, or its memory where it has one by now, stays for so long. away: who wants it
        is to ask again, and workers leave it waiting until then."""
        async with self._broker.pipeline(transaction=True) as pipe:
            sign = keys.AWAY if away else b"1"
            pipe.set(keys.alive(session), sign, px=int(1000 * seconds))
            if not away:
                pipe.xadd(keys.WAKE, {keys.FIELD: b""}, maxlen=1, approximate=False)
            await pipe.execute()

    async def place(self, session: str) -> int | None:
        """How many that somebody still wants are before it; None where it does not wait."""
        rank = await self._broker.zrank(keys.QUEUE, session)
        if rank is None:
            return None
        before = await self._broker.zrange(keys.QUEUE, 0, rank - 1) if rank else []
        async with self._broker.pipeline(transaction=False) as pipe:
            for other in before:
                pipe.exists(keys.alive(other.decode()))
            wanted = await pipe.execute()
        gone = [other for other, sign in zip(before, wanted, strict=True) if not sign]
        if gone:
            await self._broker.zrem(keys.QUEUE, *gone)
        return int(rank) - len(gone)

    async def held_by(self, party: str) -> int:
        """How many places this party has and wants, at whichever gateway it asked for them."""
        waiting = await self._broker.zrange(keys.QUEUE, 0, -1)
        if not waiting:
            return 0
        sessions = [session.decode() for session in waiting]
        found = await self._broker.mget([keys.session(session) for session in sessions])
        records = zip(sessions, found, strict=True)
        its = [keys.alive(name) for name, data in records if data and _party(data) == party]
        return int(await self._broker.exists(*its)) if its else 0

    async def leave(self, session: str) -> None:
        """It is not wanted any more."""
        async with self._broker.pipeline(transaction=True) as pipe:
            pipe.zrem(keys.QUEUE, session)
            ends = (keys.alive, keys.frames, keys.session, keys.gateway)
            pipe.delete(*(key(session) for key in ends))
            await pipe.execute()


def _party(data: bytes) -> str | None:
    try:
        return decode_record(data).party
    except MalformedMessage:  # a worker that comes to it takes it out
        return None
