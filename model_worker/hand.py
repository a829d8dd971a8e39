"""Which session a worker works on alone, known to the broker before the work begins.

Sessions whose last worker died are served apart from all others for a while: one of them may be
what killed it. If it kills the next worker, too, the broker knows which one it was.
"""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from redis import Redis
from redis.exceptions import RedisError

from messages import keys

log = logging.getLogger(__name__)

HASTY_SECONDS: Final = 0.2
"""How long the broker may take: the other sessions wait, too."""
PAUSE_SECONDS: Final = 5.0
"""How long a broker that took longer is left alone; work goes on without it."""


class Hand:
    """Shared by the worker's threads, of which one at a time has something in it. client: one that
    gives up after HASTY_SECONDS; None: nobody is told."""

    def __init__(self, client: "Redis | None" = None, worker: str = "") -> None:
        self._client = client
        self._key = keys.hand(worker)
        self._lock = threading.Lock()
        self._told = False
        self._not_before = float("-inf")

    @contextmanager
    def holding(self, session: str | None) -> Iterator[None]:
        """While it is worked on. None: several at once, or one that is not suspected."""
        if session is None:
            yield
            return
        with self._lock:
            self._tell(session)
            try:
                yield
            finally:
                self._tell(None)

    def _tell(self, session: str | None) -> None:
        if self._client is None or time.monotonic() < self._not_before:
            return
        try:
            if session is not None:
                self._told = True  # even where no reply comes
                self._client.set(self._key, session, ex=keys.DEATHS_SECONDS)
            elif self._told:
                self._client.delete(self._key)
                self._told = False
        except RedisError as error:
            log.warning("the broker does not know what is worked on: %s", error)
            self._not_before = time.monotonic() + PAUSE_SECONDS
