"""Which workers live, as their cards on the broker say."""

import asyncio
import logging
import time
from typing import Any

from redis.exceptions import RedisError

from messages import keys
from messages.codec import MalformedMessage, decode_card
from messages.workers import WorkerCard

log = logging.getLogger(__name__)

_LOOK_SECONDS = 0.5


class Workers:
    """grace_seconds: how long a card may be missing before its worker counts as gone."""

    def __init__(self, broker: Any, grace_seconds: float) -> None:
        self._broker = broker
        self._grace = grace_seconds
        self._cards: dict[str, WorkerCard] = {}
        self._last_seen: dict[str, float] = {}
        self.reachable = False
        """Whether the broker answered when last asked; without it nothing is known."""

    @property
    def card(self) -> WorkerCard | None:
        """A living worker's card: the one with the fewest sessions."""
        return min(
            self._cards.values(), key=lambda card: (card.sessions, card.worker), default=None
        )

    @property
    def models(self) -> list[str]:
        """The names of the models that living workers have loaded."""
        return sorted({card.model for card in self._cards.values()})

    def gone(self, worker: str) -> bool:
        """Whether this worker's card has been missing for longer than the grace."""
        if worker in self._cards or not self.reachable:
            return False
        return time.monotonic() - self._last_seen.get(worker, float("-inf")) > self._grace

    async def look(self) -> None:
        """Reads all cards once."""
        try:
            names = [name async for name in self._broker.scan_iter(match=keys.WORKERS, count=1000)]
            values = await self._broker.mget(names) if names else []
        except RedisError as error:
            if self.reachable:
                log.warning("the broker does not answer: %s", error)
            self.reachable = False
            self._cards = {}
            return
        now = time.monotonic()
        if not self.reachable:  # while nobody could look, nobody can be blamed for being away
            self._last_seen = dict.fromkeys(self._last_seen, now)
        self.reachable = True
        cards = {}
        for value in values:
            if value is None:
                continue
            try:
                card = decode_card(value)
            except MalformedMessage as error:
                log.warning("a worker's card cannot be read: %s", error)
                continue
            cards[card.worker] = card
            self._last_seen[card.worker] = now
        self._cards = cards

    async def run(self) -> None:
        """Looks again and again until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(_LOOK_SECONDS)
