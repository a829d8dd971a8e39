"""What a worker says of one session, read from the broker in order."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Final

from redis.exceptions import RedisError

from broker.connection import BLOCK_MILLISECONDS
from messages import keys
from messages.codec import MalformedMessage, ToGateway, decode_to_gateway
from messages.memory import MemoryDescribed

log = logging.getLogger(__name__)

_RECONNECT_SECONDS: Final = 0.5


class Reports:
    """take: is given each message and its id on the broker. read_to: the id of the last one that
    is known."""

    def __init__(
        self, session: str, broker: Any, read_to: bytes, take: Callable[[bytes, ToGateway], None]
    ) -> None:
        self._name = session[:8]
        self._key = keys.events(session)
        self._broker = broker
        self._read_to = read_to
        self._take = take

    async def run(self) -> None:
        """Reads until cancelled."""
        while True:
            try:
                reply = await self._broker.xread(
                    {self._key: self._read_to}, count=256, block=BLOCK_MILLISECONDS
                )
                for _, entries in reply:
                    for entry, fields in entries:
                        self._read_to = entry
                        await self._read(entry, fields.get(keys.FIELD, b""))
            except RedisError as error:
                log.warning("session %s: the broker does not answer: %s", self._name, error)
                await asyncio.sleep(_RECONNECT_SECONDS)

    async def _read(self, entry: bytes, data: bytes) -> None:
        try:
            message = decode_to_gateway(data)
        except MalformedMessage as error:
            log.warning("session %s: an event cannot be read: %s", self._name, error)
            return
        self._take(entry, message)
        if isinstance(message, MemoryDescribed):
            # Large, and nobody reads it again: the stream keeps 2,048 entries.
            await self._broker.xdel(self._key, entry)
