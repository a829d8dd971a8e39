"""The websocket of questions and answers: connects again, and goes on where it was cut.

The gateway numbers its events and repeats those that a returning client has missed. It does not
say where the repetition ends, so each connection begins with a `session.update` that changes
nothing: its answer comes after all that was missed.
"""

import asyncio
import contextlib
import json
import logging
from collections import deque
from collections.abc import AsyncIterator
from typing import Final

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from lookback_client.backoff import Backoff
from lookback_client.errors import (
    LEFT,
    Busy,
    LookbackError,
    SessionLost,
    Unreachable,
    from_error,
    left,
)
from lookback_client.gateway import Gateway
from lookback_client.questions import Event, Questions

log = logging.getLogger("lookback_client")

UNKNOWN_SESSION: Final = 4404
_WAITING_EVENTS: Final = 1024
_STEADY_SECONDS: Final = 2.0


class Realtime:
    """reconnect_seconds: for how long a lost connection is sought before answers fail."""

    def __init__(self, gateway: Gateway, session: str, reconnect_seconds: float) -> None:
        self._gateway = gateway
        self._session = session
        self._backoff = Backoff(reconnect_seconds)
        self._outgoing: asyncio.Queue[list[Event]] | None = None
        self._connection = 0
        self._last: str | None = None
        self._listeners: set[_Listener] = set()
        self._running: asyncio.Task[None] | None = None
        self.questions = Questions(self._send)
        self.error: LookbackError | None = None
        """Why nothing comes any more."""
        self.states: dict[str, Event] = {}
        """The newest event of each type that tells a state."""
        self.seen = asyncio.Event()
        """A frame is on its way to the model, or was."""

    async def open(self) -> None:
        """Returns when the gateway has greeted. Raises LookbackError."""
        waiting = Backoff(self._gateway.patience)
        while True:
            socket = await self._gateway.websocket_when_free("/v1/realtime", session=self._session)
            try:
                event = json.loads(await socket.recv())
                if event["type"] == "error":
                    raise from_error(event["error"])
                break
            except ConnectionClosed as error:
                raise Unreachable(f"{self._gateway.url} has hung up ({error}).") from error
            except BaseException as error:
                await socket.close()
                if not isinstance(error, Busy) or not await waiting.wait():
                    raise
        self._take(event)
        self._running = asyncio.create_task(self._run(socket))

    async def close(self) -> None:
        """Answers that are not complete fail."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)
        self._end(left())

    async def events(self) -> AsyncIterator[Event]:
        """All events from now on, to the end of the session; of one that reads too slowly the
        oldest are dropped. Raises LookbackError where the session is lost."""
        listener = _Listener()
        self._listeners.add(listener)
        try:
            while self.error is None or listener.events:
                while listener.events:
                    yield listener.events.popleft()
                if self.error is None:
                    await listener.wait()
            if self.error.code != LEFT:
                raise self.error
        finally:
            self._listeners.discard(listener)

    # The connection.

    async def _run(self, socket: ClientConnection) -> None:
        try:
            while True:
                await self._converse(socket)
                if self.error is not None:
                    return
                socket = await self._again()
        except LookbackError as error:
            self._end(error)
        except Exception as error:
            log.exception("What the gateway says cannot be understood")
            self._end(LookbackError(f"What the gateway says cannot be understood: {error!r}."))

    async def _converse(self, socket: ClientConnection) -> None:
        """Until the connection ends."""
        self._connection += 1
        self._outgoing = asyncio.Queue()
        self._send([{"type": "session.update", "session": {}}])
        began = asyncio.get_running_loop().time()
        writing = asyncio.create_task(_write(socket, self._outgoing))
        watching = asyncio.create_task(self._watch())
        try:
            async for message in socket:
                self._take(json.loads(message))
        except ConnectionClosed:
            pass
        finally:
            self._outgoing = None
            writing.cancel()
            watching.cancel()
            await socket.close()
        if asyncio.get_running_loop().time() - began > _STEADY_SECONDS:
            self._backoff.reset()
        log.info("The connection to %s ended (%s).", self._gateway.url, socket.close_code)

    async def _again(self) -> ClientConnection:
        query = {"session": self._session}
        if self._last is not None:
            query["after"] = self._last
        error: LookbackError = Unreachable("The connection was lost.", code="unreachable")
        while await self._backoff.wait(error.retry_after or 0.0):
            try:
                return await self._gateway.websocket("/v1/realtime", **query)
            except (Busy, Unreachable) as found:
                error = found
        raise error

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(1.0)
            self.questions.tick()

    def _send(self, events: list[Event]) -> int:
        """The number of the connection, whether or not they arrive; 0 where there is none."""
        if self._outgoing is None:
            return 0
        self._outgoing.put_nowait(events)
        return self._connection

    # What the gateway says.

    def _take(self, event: Event) -> None:
        kind, number = event.get("type", ""), event.get("event_id")
        # A greeting is numbered after the events that are about to be repeated, and a refusal by
        # a gateway that does not serve the session before all of them.
        if (
            number is not None
            and kind != "error"
            and (kind != "session.created" or self._last is None)
        ):
            self._last = number
        if kind == "session.created":
            self.states[kind] = event
        elif kind.startswith(("response.", "lookback.response.")):
            self.questions.take(event)
        elif kind == "session.updated":
            self.questions.caught_up(self._connection)
        elif kind == "error":
            self._take_error(event)
        elif kind == "lookback.session.moved" and not event.get("restored"):
            self.seen.clear()
            log.warning("The session's memory has begun anew: %s", event.get("message"))
        elif kind == "lookback.session.closed":
            message = event.get("message") or "It was closed."
            self._end(SessionLost(message, reason=event.get("reason", "closed")))
        elif kind.startswith("lookback."):
            self.states[kind] = event
            camera, memory = event.get("camera", {}), event.get("memory", {})
            if camera.get("frames_sent") or memory.get("frames_seen"):
                self.seen.set()
        for listener in self._listeners:
            listener.put(event)

    def _take_error(self, event: Event) -> None:
        refused = from_error(event["error"])
        if isinstance(refused, SessionLost):
            self._end(refused)
        elif (
            not self.questions.refuse(event["error"].get("event_id") or "", refused)
            # A cancellation may cross the end of its answer; one that is busy is asked again.
            and not isinstance(refused, Busy)
            and refused.code != "response_cancel_not_active"
        ):
            log.warning("The gateway says: %s", refused)

    def _end(self, error: LookbackError) -> None:
        self.error = self.error or error
        self.questions.fail(self.error)
        for listener in self._listeners:
            listener.woken.set()


async def _write(socket: ClientConnection, outgoing: asyncio.Queue[list[Event]]) -> None:
    """One after the other: a question's events stand together. What does not arrive is seen when
    the connection stands again."""
    with contextlib.suppress(ConnectionClosed):
        while True:
            for event in await outgoing.get():
                await socket.send(json.dumps(event))


class _Listener:
    """Somebody's events that wait to be read."""

    def __init__(self) -> None:
        self.events: deque[Event] = deque(maxlen=_WAITING_EVENTS)
        self.woken = asyncio.Event()

    def put(self, event: Event) -> None:
        self.events.append(event)
        self.woken.set()

    async def wait(self) -> None:
        await self.woken.wait()
        self.woken.clear()
