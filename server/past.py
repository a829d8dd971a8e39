"""What a session's streams on the broker still know, for the gateway that adopts it."""

import logging
from dataclasses import dataclass
from typing import Any

from messages import keys
from messages.codec import (
    MalformedMessage,
    ToGateway,
    decode_frame,
    decode_to_gateway,
    decode_to_worker,
)
from messages.frames import Frame
from messages.questions import Ask
from server.broadcast import anchored

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Past:
    """`said`: what the worker said and was asked, in order, with the ids of the entries;
    `read_to`: the id of the last that the worker said; `frame`: the last that was handed on."""

    said: list[tuple[bytes, ToGateway | Ask]]
    read_to: bytes
    frame: Frame | None


async def read_past(broker: Any, session: str) -> Past:
    """Questions older than anything that the worker is known to have said are left out, since
    their answers may be. Raises RedisError."""
    events = await broker.xrange(keys.events(session))
    inbox = await broker.xrange(keys.inbox(session))
    newest = await broker.xrevrange(keys.frames(session), count=1)
    said: list[tuple[bytes, ToGateway | Ask]] = []
    for entry, fields in events:
        message = _read(decode_to_gateway, fields, session)
        if message is not None:
            said.append((entry, message))
    oldest = _order(events[0][0]) if events else (0, 0)
    known = set()  # one that was sent again stands there twice
    for entry, fields in inbox:
        order = _read(decode_to_worker, fields, session)
        if isinstance(order, Ask) and _order(entry) >= oldest and order.response not in known:
            known.add(order.response)
            said.append((entry, order))
    said.sort(key=lambda each: _place(*each))
    frame = _read(decode_frame, newest[0][1], session) if newest else None
    return Past(said, events[-1][0] if events else b"0", frame)


def _read(decode: Any, fields: dict[bytes, bytes], session: str) -> Any:
    try:
        return decode(fields.get(keys.FIELD, b""))
    except MalformedMessage as error:
        log.warning("session %s: what was said cannot be read: %s", session[:8], error)
        return None


def _place(entry: bytes, message: ToGateway | Ask) -> tuple[int, bool, tuple[int, int], str]:
    """Where it belongs among what was said. A question stands where clients were told of it; where
    nobody noted that, before its answer, which may be of the same millisecond."""
    at, told = _order(entry), ""
    if isinstance(message, Ask):
        if message.told is None:
            return at[0], False, at, told
        at, told = anchored(message.told), message.told
    return at[0], True, at, told


def _order(entry: bytes) -> tuple[int, int]:
    """By when it was written."""
    milliseconds, _, count = entry.partition(b"-")
    return int(milliseconds), int(count or 0)
