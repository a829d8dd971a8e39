"""What the HTTP interface replies, type by type: docs/openapi.json is written from it."""

from typing import Any, Literal

from msgspec import UNSET, UnsetType

from messages.workers import WorkerCard
from server.shapes import Camera, Memory, Part


class Alive(Part):
    """The process lives."""

    status: Literal["ok"]


class Ready(Part):
    """A worker that can take a session."""

    worker: WorkerCard


class Session(Part):
    """A session and its memory: kept tokens per layer and head after a compression pass, and at
    most; its size in bytes."""

    id: str
    object: Literal["realtime.session"]
    model: str
    budget_tokens: int
    cap_tokens: int
    kv_bytes: int
    instructions: str | None


class Responses(Part):
    """The answer being written, by its id, and how many wait behind it."""

    running: str | None
    queued: int


class SessionState(Session):
    """A session as it is now."""

    memory: Memory | None
    camera: Camera
    websockets: int
    responses: Responses


class SdpAnswer(Part):
    """A WebRTC answer with all candidates."""

    sdp: str
    type: Literal["answer"]


class WaitingPlace(Part):
    """Where no worker has room: how many wait before, and what keeps the place."""

    queue_position: int
    ticket: str


class ErrorBody(Part):
    """What is wrong, and what to change."""

    type: Literal["invalid_request_error", "server_error"]
    code: str
    message: str
    param: str | None
    lookback: WaitingPlace | UnsetType = UNSET


class ErrorReply(Part):
    """Every error, as the OpenAI APIs have it."""

    error: ErrorBody


REPLIES: tuple[type[Part], ...] = (Alive, Ready, Session, SessionState, SdpAnswer, ErrorReply)


def replying(reply: type[Part], description: str, status: int = 200) -> dict[int | str, Any]:
    """FastAPI's `responses`, where the success is a `reply`."""
    schema = {"$ref": f"#/components/schemas/{reply.__name__}"}
    content = {"application/json": {"schema": schema}}
    return {status: {"description": description, "content": content}}
