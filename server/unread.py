"""Questions that the worker may not have read: a broker that was emptied has forgotten them."""

from collections.abc import Iterator, Sequence
from typing import Any

from messages import keys
from messages.questions import Ask


class Unread:
    """Of one session, with where each stands in its inbox on the broker, until it is answered."""

    def __init__(self) -> None:
        self._asks: dict[str, tuple[bytes, Ask]] = {}

    def __iter__(self) -> Iterator[tuple[bytes, Ask]]:
        return iter(list(self._asks.values()))

    def wrote(self, ask: Ask, entry: bytes) -> None:
        """It stands there now."""
        self._asks[ask.response] = entry, ask

    def answered(self, response: str) -> None:
        """Or failed."""
        self._asks.pop(response, None)


async def forgotten(broker: Any, asks: Sequence[tuple[bytes, Ask]]) -> list[Ask]:
    """Those of any sessions that do not stand where they were written. Raises RedisError."""
    if not asks:
        return []
    async with broker.pipeline(transaction=False) as pipe:
        for entry, ask in asks:
            pipe.xrange(keys.inbox(ask.session), entry, entry)
        found = await pipe.execute()
    return [ask for (_, ask), there in zip(asks, found, strict=True) if not there]
