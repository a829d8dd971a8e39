"""What a gateway does for its sessions again and again: signs of life, and who has them."""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any, Final

from redis.exceptions import RedisError

from messages import keys
from server.line import Line
from server.session import Session
from server.sessions import Sessions
from server.unread import forgotten

log = logging.getLogger(__name__)

_LOOK_SECONDS: Final = 0.25
_ALIVE_SECONDS: Final = 1.0
_OWNERLESS_SECONDS: Final = 1.5
"""How long a session's lease may be gone before another worker is looked for: a broker that began
anew knows of no lease until the workers tell."""


class Upkeep:
    """holds: whether an API key, by its id, has not been revoked."""

    def __init__(
        self, sessions: Sessions, broker: Any, holds: Callable[[str | None], bool]
    ) -> None:
        self._sessions = sessions
        self._broker = broker
        self._line = Line(broker)
        self._holds = holds

    async def run(self) -> None:
        """Keeps the wanted sessions alive and closes the others, until cancelled."""
        alive_at = float("-inf")
        while True:
            now = time.monotonic()
            for session in self._sessions.all():
                self._look(session, now)
            if now - alive_at >= _ALIVE_SECONDS:
                alive_at = now
                try:
                    await self._keep_alive()
                except RedisError as error:
                    log.warning("the sessions were not kept alive: %s", error)
            await asyncio.sleep(_LOOK_SECONDS)

    def _look(self, session: Session, now: float) -> None:
        close = self._sessions.close_soon
        unneeded = session.expired(now)
        if unneeded is not None:
            close(session, "expired", unneeded)
        elif not self._holds(session.owner):
            close(session, "key_revoked", "The API key that made it was revoked.")
        elif session.tenure.ownerless_seconds(now) > self._sessions.settings.takeover_seconds:
            gone = "The model worker stopped, and no other has taken its place."
            close(session, "worker_lost", gone)
        else:
            session.tick(now)

    async def _keep_alive(self) -> None:
        """Signs of life; and a look at who serves each session, who has its memory, and what was
        asked."""
        sessions, gateway = self._sessions.all(), self._sessions.name
        async with self._broker.pipeline(transaction=False) as pipe:
            for session in sessions:
                pipe.get(keys.gateway(session.id))
                pipe.get(keys.owner(session.id))
            found = await pipe.execute()
        now = time.monotonic()
        kept, lost = [], []
        async with self._broker.pipeline(transaction=False) as pipe:
            for session, other, owner in zip(sessions, found[::2], found[1::2], strict=True):
                if other not in (None, gateway):
                    lost.append(session)
                    continue
                kept.append(session)
                if session.attendance.attached:  # until then any gateway may take it
                    pipe.set(keys.gateway(session.id), gateway, ex=keys.GATEWAY_TTL_SECONDS)
                pipe.set(keys.alive(session.id), b"1", ex=keys.ALIVE_TTL_SECONDS)
                self._line.write(pipe, session.record)
                pipe.expire(keys.inbox(session.id), keys.RECORD_TTL_SECONDS)
                session.owned(None if owner is None else owner.decode().split(" ")[0], now)
            await pipe.execute()
        for session in lost:
            await self._sessions.lose(session)
        for session in kept:
            ownerless = session.tenure.ownerless_seconds(now)
            if ownerless > _OWNERLESS_SECONDS and not session.tenure.moving:
                await self._line.again(session.record)
                session.tenure.look_for_another()
        await self._ask_again(kept)

    async def _ask_again(self, sessions: list[Session]) -> None:
        """What the broker has forgotten of questions."""
        by_id = {session.id: session for session in sessions}
        asked = [each for session in sessions for each in session.unread]
        for ask in await forgotten(self._broker, asked):
            by_id[ask.session].ask_again(ask)
