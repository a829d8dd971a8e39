"""A session's events on their way to its websockets, numbered, and kept a while for a reconnect.

However many listen, an event is written as JSON once.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Any, Final

import msgspec

HISTORY: Final = 1024
_WAITING: Final = 512
_SKIPPED: Final = 1_000_000

Event = dict[str, Any]


class Said:
    """An event on its way, shared by all who hear it; `text`: as JSON."""

    __slots__ = ("_text", "event")

    def __init__(self, event: Event) -> None:
        self.event = event
        self._text: str | None = None

    @property
    def text(self) -> str:
        if self._text is None:
            self._text = msgspec.json.encode(self.event).decode()
        return self._text


class Subscription:
    """One websocket's events in order; room: how many may wait for it. `overflowed`: it read too
    slowly and lost some. `leaving`: they go on at another gateway."""

    def __init__(self, room: int) -> None:
        self._room = room
        self._queue: asyncio.Queue[Said | None] = asyncio.Queue()
        self.overflowed = False
        self.leaving = False
        self._ended = False
        self.only: str | None = None
        """The response that it wants to hear of, and nothing else; None: of everything."""

    def put(self, said: Said) -> None:
        """Hands an event over without waiting; a full queue ends the subscription."""
        if self._ended or not self._wants(said.event):
            return
        if self._queue.qsize() >= self._room:
            self.overflowed = True
            self.end()
            return
        self._queue.put_nowait(said)

    def _wants(self, event: Event) -> bool:
        if self.only is None:
            return True
        return self.only in (event.get("response_id"), event.get("response", {}).get("id"))

    def end(self) -> None:
        """What was handed over is still read; nothing comes after it."""
        if not self._ended:
            self._ended = True
            self._queue.put_nowait(None)

    async def __aiter__(self) -> AsyncIterator[Event]:
        while (said := await self._queue.get()) is not None:
            yield said.event

    async def texts(self) -> AsyncIterator[str]:
        """The same, as JSON."""
        while (said := await self._queue.get()) is not None:
            yield said.text


class Broadcast:
    """Numbers every event (`event_id` rises within a session) and gives it to all subscribers.

    An id begins with that of the worker's last message on the broker, so that whichever gateway
    comes to serve the session knows what a client has missed.
    """

    def __init__(self) -> None:
        self._anchor = _anchor(b"0-0")
        self._number = 0
        # As text, which takes a fraction of what the events take.
        self._history: deque[tuple[str, str]] = deque(maxlen=HISTORY)
        self._subscriptions: set[Subscription] = set()

    def __len__(self) -> int:
        return len(self._subscriptions)

    def at(self, entry: bytes) -> None:
        """What follows comes of the worker's message with this id on the broker."""
        self._anchor, self._number = _anchor(entry), 0

    def skip(self) -> None:
        """What follows is later than all that another gateway said of the same message."""
        self._number += _SKIPPED

    def publish(self, event: Event) -> str:
        """To every websocket, and to those that come back for it. Returns the event's id, which is
        a new one where it has none."""
        said = self.show(event)
        identity: str = said.event["event_id"]
        self._history.append((identity, said.text))
        return identity

    def show(self, event: Event) -> Said:
        """To every websocket, but to none that comes later: a state, which the next replaces."""
        numbered = self.numbered(event)
        for subscription in list(self._subscriptions):
            subscription.put(numbered)
        return numbered

    def numbered(self, event: Event) -> Said:
        """The event with its id."""
        self._number += 1
        return Said({"event_id": f"event_{self._anchor}_{self._number:07d}", **event})

    def subscribe(self, greeting: Event | None = None, after: str | None = None) -> Subscription:
        """The greeting, then what was published since the event `after`, then all that comes."""
        missed = [] if after is None else [text for at, text in self._history if at > after]
        subscription = Subscription(_WAITING + len(missed))
        if greeting is not None:
            subscription.put(self.numbered(greeting))
        for text in missed:
            subscription.put(Said(msgspec.json.decode(text)))
        self._subscriptions.add(subscription)
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        self._subscriptions.discard(subscription)
        subscription.end()

    def end(self, *, leaving: bool = False) -> None:
        """No more events for anybody here."""
        for subscription in list(self._subscriptions):
            subscription.leaving = leaving
            self.unsubscribe(subscription)


def _anchor(entry: bytes) -> str:
    """The broker's id (`milliseconds-number`) so that later ones are greater as text."""
    milliseconds, _, number = entry.decode().partition("-")
    return f"{int(milliseconds):013d}_{int(number or 0):04d}"


def anchored(event_id: str) -> tuple[int, int]:
    """Of an event: the broker's id of the worker's message that it came of, or came after."""
    _, milliseconds, number, _ = event_id.split("_")
    return int(milliseconds), int(number)
