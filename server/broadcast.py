"""A session's events on their way to its websockets, numbered, and kept a while for a reconnect."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Any, Final

HISTORY: Final = 1024
_WAITING: Final = 512

Event = dict[str, Any]


class Subscription:
    """One websocket's events in order. `overflowed`: it read too slowly and lost some."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[Event | None] = asyncio.Queue()
        self.overflowed = False
        self._ended = False

    def put(self, event: Event) -> None:
        """Hands an event over without waiting; a full queue ends the subscription."""
        if self._ended:
            return
        if self._queue.qsize() >= _WAITING:
            self.overflowed = True
            self.end()
            return
        self._queue.put_nowait(event)

    def end(self) -> None:
        """What was handed over is still read; nothing comes after it."""
        if not self._ended:
            self._ended = True
            self._queue.put_nowait(None)

    async def __aiter__(self) -> AsyncIterator[Event]:
        while (event := await self._queue.get()) is not None:
            yield event


class Broadcast:
    """Numbers every event (`event_id` rises within a session) and gives it to all subscribers."""

    def __init__(self) -> None:
        self._number = 0
        self._history: deque[tuple[int, Event]] = deque(maxlen=HISTORY)
        self._subscriptions: set[Subscription] = set()

    def __len__(self) -> int:
        return len(self._subscriptions)

    def publish(self, event: Event) -> None:
        """To every websocket, and to those that come back for it."""
        numbered = self.numbered(event)
        self._history.append((self._number, numbered))
        for subscription in list(self._subscriptions):
            subscription.put(numbered)

    def numbered(self, event: Event) -> Event:
        """The event with its id."""
        self._number += 1
        return {"event_id": f"event_{self._number:08d}", **event}

    def subscribe(self, greeting: Event, after: str | None = None) -> Subscription:
        """The greeting, then what was published since the event `after`, then all that comes."""
        subscription = Subscription()
        subscription.put(self.numbered(greeting))
        if after is not None:
            for _, event in list(self._history):
                if event["event_id"] > after:
                    subscription.put(event)
        self._subscriptions.add(subscription)
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        self._subscriptions.discard(subscription)
        subscription.end()

    def end(self) -> None:
        """No more events for anybody."""
        for subscription in list(self._subscriptions):
            self.unsubscribe(subscription)
