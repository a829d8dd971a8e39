"""A session's life: opened, refused, watched, closed."""

from typing import Literal

import msgspec

from messages.files import Imported


class OpenSession(msgspec.Struct, frozen=True, tag="session.open"):
    """Reserve a memory. `budget_tokens` None takes the worker's default. `instructions` are the
    system prompt of all the session's answers."""

    session: str
    budget_tokens: int | None = None
    instructions: str | None = None


class CloseSession(msgspec.Struct, frozen=True, tag="session.close"):
    """Free the memory now."""

    session: str


class SessionOpened(msgspec.Struct, frozen=True, tag="session.opened"):
    """The memory is reserved at `worker`. `cap_tokens` is what visual memory can never exceed;
    `frame_size` and `max_pixels` are those of the worker's card."""

    session: str
    model: str
    budget_tokens: int
    cap_tokens: int
    kv_bytes: int
    worker: str = ""
    frame_size: tuple[int, int] | None = None
    max_pixels: int = 0


class SessionRecord(msgspec.Struct, frozen=True, tag="session.record"):
    """A session as whoever comes to serve it finds it. `turn` is its place in the queue, `began`
    when it was made (Unix seconds), `opened` None until a worker has it; `protocol` as in
    WorkerCard."""

    protocol: int
    wanted: OpenSession
    turn: float
    began: float
    opened: SessionOpened | None = None
    opened_at: bytes = b"0"
    """The id of the SessionOpened on the session's event stream."""
    owner: str | None = None
    """Whose key made it; None where keys are not asked for."""
    party: str = ""
    """Whose limits it counts against."""
    imported: Imported | None = None


class SessionRefused(msgspec.Struct, frozen=True, tag="session.refused"):
    """No memory was reserved: no room (try again later), or a request that can never fit."""

    session: str
    message: str
    retry_after: float | None = None


class SessionClosed(msgspec.Struct, frozen=True, tag="session.closed"):
    """The memory is gone. `crashed`: given up, since its workers died."""

    session: str
    reason: Literal["closed", "abandoned", "failed", "crashed"]
    message: str = ""


class SessionMoved(msgspec.Struct, frozen=True, tag="session.moved"):
    """Another worker has taken the session over. `restored`: with its memory, of which the newest
    `lost_seconds` are gone; otherwise the memory begins empty, and `message` says why. `questions`
    says whether what waited to be answered is still going to be."""

    session: str
    worker: str
    restored: bool
    lost_seconds: float | None
    questions: bool
    message: str = ""


class MemoryStatus(msgspec.Struct, frozen=True, tag="session.memory"):
    """What the memory holds, sent after it changed, at most twice a second.

    `tokens` counts kept visual tokens per layer and head. `span` is stream time (seconds) of
    the oldest and newest kept frame; `newest_captured_at` is wall-clock (Unix seconds).
    `frames_seen` reached memory; `frames_dropped` were lost in the ring or at the gateway.
    """

    session: str
    tokens: int
    peak_tokens: int
    cap_tokens: int
    kv_bytes: int
    frames_seen: int
    frames_dropped: int
    compressions: int
    span: tuple[float, float] | None
    newest_captured_at: float | None
