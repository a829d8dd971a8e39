"""The websocket: a client's events in, the session's events out."""

import asyncio
import contextlib
import logging
from typing import Final

import msgspec
from starlette.websockets import WebSocket, WebSocketDisconnect

from server.access import Caller, accept
from server.broadcast import Event, Subscription
from server.errors import ClientError, error_event
from server.events import ItemCreate, event_id_of, parse
from server.session import Session
from server.sessions import Sessions
from server.tasks import stop

log = logging.getLogger(__name__)

UNKNOWN_SESSION: Final = 4404
_NORMAL: Final = 1000
_GONE: Final = 1006
_OUR_FAULT: Final = 1011
_RESTART: Final = 1012
_TRY_AGAIN: Final = 1013
_CLOSE_SECONDS: Final = 5.0


async def converse(
    websocket: WebSocket, caller: Caller, sessions: Sessions, identity: str, after: str | None
) -> None:
    """Serves one websocket until it or the session ends.

    after: the id of the last event that a returning client has; it gets those it missed.
    """
    await accept(websocket)
    try:
        session = await sessions.find(identity, caller)
    except ClientError as error:
        with contextlib.suppress(RuntimeError, WebSocketDisconnect):  # it may have gone
            await say(websocket, {"event_id": "event_0", **error_event(error, None)})
            unknown = error.status == 404
            await websocket.close(UNKNOWN_SESSION if unknown else _TRY_AGAIN, error.code)
        return
    subscription = session.join(after)
    longest = sessions.settings.message_bytes
    hearing = asyncio.create_task(_hear(websocket, caller, session, subscription, longest))
    telling = asyncio.create_task(_tell(websocket, subscription))
    try:
        await asyncio.wait({hearing, telling}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        session.leave(subscription)
        await stop(hearing, telling)
        for outcome in await asyncio.gather(hearing, telling, return_exceptions=True):
            if isinstance(outcome, Exception) and not isinstance(outcome, WebSocketDisconnect):
                log.error("session %s: a websocket failed", session.name, exc_info=outcome)
                with contextlib.suppress(RuntimeError, WebSocketDisconnect):  # as above
                    await websocket.close(_OUR_FAULT, "something went wrong in the gateway")


async def _hear(
    websocket: WebSocket,
    caller: Caller,
    session: Session,
    subscription: Subscription,
    longest: int,
) -> None:
    """Until the client goes. longest: bytes of an event with pictures."""
    while True:
        message = await websocket.receive()
        if message["type"] == "websocket.disconnect":
            return
        text = message.get("text")
        try:
            if text is None:
                raise ClientError("binary_message", "Events are JSON text, not binary messages.")
            event = parse(text, longest)
            if isinstance(event, ItemCreate) and event.item.pictures:
                caller.require("publish")  # they become a part of what the session has seen
            await session.hear(subscription, event)
        except ClientError as error:
            event_id = None if text is None else event_id_of(text)
            session.tell(subscription, error_event(error, event_id))


async def _tell(websocket: WebSocket, subscription: Subscription) -> None:
    """Until the session ends, or the client reads too slowly."""
    async for text in subscription.texts():
        await _send(websocket, text)
    async with asyncio.timeout(_CLOSE_SECONDS):
        if subscription.overflowed:
            await websocket.close(_TRY_AGAIN, "events were read too slowly")
        elif subscription.leaving:
            await websocket.close(_RESTART, "this gateway stops: connect again")
        else:
            await websocket.close(_NORMAL, "the session was closed")


async def say(websocket: WebSocket, event: Event) -> None:
    """Sends an event. Raises WebSocketDisconnect where the client has gone."""
    await _send(websocket, msgspec.json.encode(event).decode())


async def _send(websocket: WebSocket, text: str) -> None:
    try:
        await websocket.send_text(text)
    except RuntimeError as error:
        # What uvicorn says of a connection that it closed in the meantime: the client sent what is
        # no websocket message.
        raise WebSocketDisconnect(_GONE) from error
