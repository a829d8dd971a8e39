"""What the gateway tells of a session, as it comes: more keys than these may stand in it."""

from dataclasses import dataclass, field
from typing import Literal, TypedDict

Scope = Literal["publish", "ask"]


class SessionInfo(TypedDict):
    """A session's model and the size of its memory. `kv_bytes` is what its keys and values take;
    tokens are counted per layer and head: after a compression pass, and at most."""

    id: str
    model: str
    budget_tokens: int
    cap_tokens: int
    kv_bytes: int
    instructions: str | None


class Memory(TypedDict):
    """The memory as it is. `span`: times of its oldest and newest frame, in seconds of the stream;
    `newest_frame_age`: seconds."""

    tokens: int
    peak_tokens: int
    cap_tokens: int
    kv_bytes: int
    frames_seen: int
    frames_dropped: int
    compressions: int
    span: tuple[float, float] | None
    newest_frame_age: float | None


class CameraState(TypedDict):
    """The session's camera, and the frames of all that it has had."""

    state: Literal["none", "connecting", "live", "stalled", "gone"]
    message: str
    frames_received: int
    frames_sampled: int
    frames_skipped: int
    frames_sent: int
    frames_dropped: int


@dataclass(frozen=True)
class Token:
    """Lets its holder do `scopes` with one session for a while. expires_at: seconds since 1970."""

    token: str = field(repr=False)
    session: str
    scopes: tuple[str, ...]
    expires_at: float
