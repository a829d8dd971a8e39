"""Errors that a client is told, in one shape for HTTP and for the websocket."""

from collections.abc import Sequence
from typing import Any, Final, Literal

from redis.exceptions import OutOfMemoryError

from server.broadcast import Event

RETRY_SECONDS: Final = 2.0
Kind = Literal["invalid_request_error", "server_error"]


class ClientError(Exception):
    """The client asked for something that it must change. `status` is the HTTP status."""

    kind: Kind = "invalid_request_error"

    def __init__(
        self,
        code: str,
        message: str,
        *,
        param: str | None = None,
        status: int = 400,
        retry_after: float | None = None,
        lookback: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.param = param
        self.status = status
        self.retry_after = retry_after
        self.lookback = lookback

    def body(self) -> dict[str, Any]:
        """`{type, code, message, param}`, as the OpenAI APIs have it, and our own details under
        `lookback`."""
        return {
            "type": self.kind,
            "code": self.code,
            "message": self.message,
            "param": self.param,
            **({} if self.lookback is None else {"lookback": self.lookback}),
        }


class ServiceError(ClientError):
    """Something on our side is missing or full; trying again may help."""

    kind: Kind = "server_error"


def invalid_request(errors: Sequence[Any], status: int = 422) -> ClientError:
    """What a body has wrong, as pydantic lists it: the first of it, in words."""
    first: dict[str, Any] = errors[0]
    if first["type"] == "json_invalid":
        return ClientError("invalid_json", f"{first['msg']}.")
    param = ".".join(str(part) for part in first["loc"] if _is_name(part)) or None
    message = f"{first['msg']}{f' (at {param})' if param else ''}."
    return ClientError("invalid_request", message, param=param, status=status)


def _is_name(part: int | str) -> bool:
    """Whether this is a part of the body, and not a type that it might have had."""
    if isinstance(part, int):
        return True
    return part.isidentifier() and part not in ("body", "str", "list", "int", "float", "bool")


def broker_unavailable(why: object) -> ServiceError:
    """Nothing can be reached through the broker now."""
    problem = "is full" if isinstance(why, OutOfMemoryError) else "does not answer"
    return ServiceError(
        "broker_unavailable",
        f"The broker {problem} ({why}).",
        status=503,
        retry_after=RETRY_SECONDS,
    )


def no_room(place: int, ticket: str | None) -> ServiceError:
    """All workers are full; so many wait before. ticket: keeps the place, None where the queue is
    full, too."""
    before = "1 session waits" if place == 1 else f"{place} sessions wait"
    if ticket is None:
        message = f"No worker has room, and {before} already: try again later."
        return ServiceError("queue_full", message, status=503, retry_after=5 * RETRY_SECONDS)
    ahead = "this one is next" if place == 0 else f"{before} before this one"
    return ServiceError(
        "no_room",
        f"No worker has room; {ahead}. Ask again with the ticket, and the place is kept.",
        status=503,
        retry_after=RETRY_SECONDS,
        lookback={"queue_position": place, "ticket": ticket},
    )


def no_worker(strangers: int = 0) -> ServiceError:
    """Nobody can take a session now. strangers: workers that speak another version."""
    if strangers:
        return ServiceError(
            "incompatible_worker",
            f"Workers run ({strangers}), but with another version of Lookback's messages than this "
            "gateway: install the same version of lookback for both.",
            status=503,
            retry_after=5 * RETRY_SECONDS,
        )
    return ServiceError(
        "no_worker",
        "No model worker is running yet: wait for it, or start one (lookback worker).",
        status=503,
        retry_after=RETRY_SECONDS,
    )


def workers_stop() -> ServiceError:
    """All workers are draining."""
    return ServiceError(
        "workers_stop",
        "All model workers are about to stop: wait for those that take their place.",
        status=503,
        retry_after=RETRY_SECONDS,
    )


def incompatible_session() -> ServiceError:
    """A session that gateways and workers of another version made; some may still run."""
    return ServiceError(
        "incompatible_session",
        "Another version of Lookback made this session, and this gateway cannot go on with it: "
        "create a new one.",
        status=503,
        retry_after=5 * RETRY_SECONDS,
    )


def unknown_camera() -> "ClientError":
    """No camera of the session has this id, or it has ended."""
    return ClientError(
        "unknown_camera",
        "There is no such camera: it has ended, or another one took its place.",
        status=404,
    )


def unknown_session(session: str) -> ClientError:
    """The session was never there, or is closed."""
    shown = session if len(session) <= 40 else session[:40] + "…"
    return ClientError(
        "unknown_session",
        f"There is no session {shown!r}: it was closed, or it expired. "
        "Create a new one with POST /v1/sessions.",
        param="session",
        status=404,
    )


def error_event(error: ClientError, event_id: str | None) -> Event:
    """The error as an event about the client's event `event_id`."""
    return {"type": "error", "error": {**error.body(), "event_id": event_id}}
