"""Which workers live, as their cards on the broker say."""

import asyncio
import logging
from typing import Any

from redis.exceptions import RedisError

from messages import keys
from messages.codec import MalformedMessage, decode_card
from messages.versions import of_another_version
from messages.workers import PROTOCOL, WorkerCard

log = logging.getLogger(__name__)

_LOOK_SECONDS = 0.5


class Workers:
    """Those that speak our version of the messages."""

    def __init__(self, broker: Any) -> None:
        self._broker = broker
        self._cards: dict[str, WorkerCard] = {}
        self.strangers = 0
        """Workers whose messages are of another version than ours."""
        self.queued = 0
        """Sessions that wait for one."""
        self.reachable = False
        """Whether the broker answered when last asked; without it nothing is known."""

    @property
    def card(self) -> WorkerCard | None:
        """A living worker's card: the one with the most free bytes."""
        return min(
            self._cards.values(),
            key=lambda card: (card.kv_bytes_used - card.kv_bytes, card.worker),
            default=None,
        )

    @property
    def cards(self) -> tuple[WorkerCard, ...]:
        """Those of all living workers, by name."""
        return tuple(self._cards[name] for name in sorted(self._cards))

    @property
    def taking(self) -> bool:
        """Whether any of them is not about to stop."""
        return any(not card.draining for card in self._cards.values())

    @property
    def models(self) -> list[str]:
        """The names of the models that living workers have loaded."""
        return sorted({card.model for card in self._cards.values()})

    async def look(self) -> None:
        """Reads all cards once."""
        try:
            names = [name async for name in self._broker.scan_iter(match=keys.WORKERS, count=1000)]
            values = await self._broker.mget(names) if names else []
            self.queued = await self._broker.zcard(keys.QUEUE)
        except RedisError as error:
            if self.reachable:
                log.warning("the broker does not answer: %s", error)
            self.reachable = False
            self._cards = {}
            return
        self.reachable = True
        cards = {}
        unreadable = 0
        for value in values:
            if value is None:
                continue
            try:
                card = decode_card(value)
            except MalformedMessage as error:
                if of_another_version(value):
                    unreadable += 1
                else:
                    log.warning("a worker's card cannot be read: %s", error)
                continue
            cards[card.worker] = card
        self._cards = {name: c for name, c in cards.items() if c.protocol == PROTOCOL}
        strangers = len(cards) - len(self._cards) + unreadable
        if strangers != self.strangers:
            log.warning("%d workers speak another version of the messages", strangers)
        self.strangers = strangers

    async def run(self) -> None:
        """Looks again and again until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(_LOOK_SECONDS)
