"""What the gateway says on its websockets, type by type.

This is the contract: docs/asyncapi.json is written from it, and the tests hold every event that
they hear against it.
"""

from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from server.shapes import (
    Basis,
    Camera,
    Description,
    ErrorDetails,
    FramesLimits,
    FramesSession,
    Item,
    Memory,
    RealtimeResponse,
    RealtimeSession,
    TextPart,
)


class Told(msgspec.Struct, kw_only=True, tag_field="type", forbid_unknown_fields=True):
    """`event_id` rises within a session; the frames websocket has none."""

    event_id: str | UnsetType = UNSET


class Placed(Told):
    """About a part of an answer."""

    response_id: str
    item_id: str
    output_index: Literal[0]
    content_index: Literal[0]


class SessionCreated(Told, tag="session.created"):
    """The first event."""

    session: RealtimeSession


class SessionUpdated(Told, tag="session.updated"):
    """The answer to session.update."""

    session: RealtimeSession


class ItemAdded(Told, tag="conversation.item.added"):
    """A question was asked."""

    item: Item


class ItemDone(Told, tag="conversation.item.done"):
    """A question is complete."""

    item: Item


class ResponseCreated(Told, tag="response.created"):
    """An answer will be written."""

    response: RealtimeResponse


class ResponseStarted(Told, tag="lookback.response.started"):
    """The worker has read the question."""

    response_id: str
    lookback: Basis


class OutputItemAdded(Told, tag="response.output_item.added"):
    """The answer begins."""

    response_id: str
    output_index: Literal[0]
    item: Item


class OutputItemDone(Told, tag="response.output_item.done"):
    """The answer as an item of the conversation."""

    response_id: str
    output_index: Literal[0]
    item: Item


class ContentPartAdded(Placed, tag="response.content_part.added"):
    """The text begins."""

    part: TextPart


class ContentPartDone(Placed, tag="response.content_part.done"):
    """The text is complete."""

    part: TextPart


class TextDelta(Placed, tag="response.output_text.delta"):
    """The next piece of text."""

    delta: str


class TextDone(Placed, tag="response.output_text.done"):
    """The whole text."""

    text: str


class ResponseDone(Told, tag="response.done"):
    """The answer's end: every response that was created has exactly one."""

    response: RealtimeResponse


class MemoryUpdated(Told, tag="lookback.memory.updated"):
    """The memory has changed."""

    memory: Memory


class MemoryDescribed(Told, tag="lookback.memory.described"):
    """The answer to lookback.memory.describe."""

    description: Description


class CameraUpdated(Told, tag="lookback.camera.updated"):
    """The camera's state, or its counters, have changed."""

    camera: Camera


class FrameRejected(Told, tag="lookback.frame.rejected"):
    """A frame could not be used; the session goes on."""

    message: str


class SessionClosed(Told, tag="lookback.session.closed"):
    """The session has ended; the websocket closes."""

    reason: Literal[
        "closed",
        "expired",
        "worker_lost",
        "abandoned",
        "failed",
        "crashed",
        "key_revoked",
    ]
    message: str


class SessionMoving(Told, tag="lookback.session.moving"):
    """The session's worker is lost, and it waits for another; questions wait, too."""

    message: str


class SessionMoved(Told, tag="lookback.session.moved"):
    """A worker has the session again. `restored`: with its memory, of which the newest
    `lost_seconds` are missing; otherwise the memory has begun anew."""

    restored: bool
    lost_seconds: float | None
    message: str


class Error(Told, tag="error"):
    """An event could not be taken; the connection stays."""

    error: ErrorDetails


class FramesReady(Told, tag="lookback.frames.ready"):
    """Frames may come: the first event of a frames websocket. `sampled_per_second` are used."""

    session: FramesSession
    limits: FramesLimits
    sampled_per_second: float


RealtimeEvent = (
    SessionCreated
    | SessionUpdated
    | ItemAdded
    | ItemDone
    | ResponseCreated
    | ResponseStarted
    | OutputItemAdded
    | OutputItemDone
    | ContentPartAdded
    | ContentPartDone
    | TextDelta
    | TextDone
    | ResponseDone
    | MemoryUpdated
    | MemoryDescribed
    | CameraUpdated
    | FrameRejected
    | SessionMoving
    | SessionMoved
    | SessionClosed
    | Error
)
"""What is said on `/v1/realtime`."""

FramesEvent = FramesReady | CameraUpdated | Error
"""What is said on a session's frames websocket."""
