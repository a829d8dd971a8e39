"""Waiting for the worker that opens a session."""

import logging
import time
from typing import Any, Final

from msgspec.structs import replace

from messages import keys
from messages.codec import MalformedMessage, decode_to_gateway
from messages.sessions import CloseSession, SessionOpened, SessionRecord, SessionRefused
from server.errors import RETRY_SECONDS, ClientError, ServiceError, no_room
from server.inbox import send
from server.line import Line
from server.settings import GatewaySettings
from server.snapshot_file import invalid_snapshot
from server.transfer import Upload

log = logging.getLogger(__name__)

_WAIT_SECONDS: Final = 1.0
"""How long somebody who wants a session waits in the queue without being told their place."""
_HOLD_SECONDS: Final = 5.0
_TURN_MILLISECONDS: Final = 250


async def opened(
    record: SessionRecord,
    settings: GatewaySettings,
    broker: Any,
    line: Line,
    upload: Upload | None = None,
) -> SessionRecord:
    """The session, once a worker has taken it. upload: with what it begins.

    Raises ServiceError where none has room, with the place in the queue, or the one that took it
    is silent; ClientError for a no; RedisError.
    """
    session = record.wanted.session
    began = held_at = time.monotonic()
    read_to: bytes | str = "0"
    while time.monotonic() - _moved_at(began, upload) < settings.open_seconds:
        reply = await broker.xread({keys.events(session): read_to}, block=_TURN_MILLISECONDS)
        for _, entries in reply:
            for entry, fields in entries:
                read_to = entry
                try:
                    message = decode_to_gateway(fields.get(keys.FIELD, b""))
                except MalformedMessage as error:
                    log.warning("session %s: an event cannot be read: %s", session[:8], error)
                    continue
                if isinstance(message, SessionOpened):
                    return replace(record, opened=message, opened_at=entry)
                if isinstance(message, SessionRefused):
                    if message.retry_after is None:
                        await line.leave(session)
                        raise _refused(message, record)
                    if upload is not None:  # the next worker needs all of it, too
                        await upload.begin()
        if time.monotonic() - began >= _WAIT_SECONDS:
            place = await line.place(session)
            if place is not None:
                if place >= settings.waiting_sessions:
                    await line.leave(session)
                    raise no_room(place, None)
                await line.hold(session, settings.ticket_seconds, away=True)
                raise no_room(place, session)
            if upload is not None and time.monotonic() - held_at >= _HOLD_SECONDS:
                # It may take longer than it was to be held.
                await line.hold(session, settings.open_seconds + settings.ticket_seconds)
                held_at = time.monotonic()
    await send(broker, CloseSession(session))
    await line.leave(session)
    raise ServiceError(
        "worker_silent",
        "The model worker did not answer in time; it may be very busy.",
        status=503,
        retry_after=RETRY_SECONDS,
    )


def _moved_at(began: float, upload: Upload | None) -> float:
    return began if upload is None else max(began, upload.moved_at)


def _refused(message: SessionRefused, record: SessionRecord) -> ClientError:
    if record.imported is not None:
        return invalid_snapshot(message.message.removesuffix("."))
    # The worker says in words which of the two it cannot take.
    param = "budget_tokens" if record.wanted.instructions is None else None
    return ClientError("session_refused", message.message, param=param, status=422)
