"""What can go wrong, by what its reader can do about it."""

from collections.abc import Mapping
from typing import Any, Final

LEFT: Final = "left"
_BUSY: Final = (
    "broker_unavailable",
    "no_worker",
    "session_elsewhere",
    "too_many_cameras",
    "too_many_questions",
)


class LookbackError(Exception):
    """Something was refused or failed; the message says what to change.

    code: the gateway's name for it, as docs/api.md lists them; status: of HTTP, where it came by
    HTTP; retry_after: seconds after which another try may succeed; param: what is at fault;
    lookback: what else the gateway tells.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str = "",
        status: int | None = None,
        retry_after: float | None = None,
        param: str | None = None,
        lookback: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.status = status
        self.retry_after = retry_after
        self.param = param
        self.lookback = lookback or {}


class Unreachable(LookbackError):
    """Nothing answers at the address, or not any more."""


class NotAllowed(LookbackError):
    """The API key or token is missing or unknown, has expired, or does not cover this."""


class Busy(LookbackError):
    """There is no room now, and waiting as long as allowed did not help: see `retry_after`."""

    @property
    def queue_position(self) -> int | None:
        """How many wait before: sessions, where this one waits for a worker; questions, where too
        many of them wait."""
        position: int | None = self.lookback.get("queue_position")
        return position


class SessionLost(LookbackError):
    """The session is gone, and with it the memory of what it saw: begin a new one.

    reason: the gateway's, as `expired` or `worker_lost`; `unknown_session` where it has none.
    """

    def __init__(self, message: str, *, reason: str, status: int | None = None) -> None:
        super().__init__(
            f"The session is gone, and its memory of what it saw is lost: {message}",
            code=reason,
            status=status,
        )
        self.reason = reason


class NoFramesYet(LookbackError):
    """The question came before the first picture; the message says what to do about the camera."""


class AnswerFailed(LookbackError):
    """The model could not answer to the end. text: what it had written."""

    def __init__(self, message: str, text: str) -> None:
        super().__init__(message, code="answer_failed")
        self.text = text


class CameraError(LookbackError):
    """A camera, file or stream cannot be opened or sent, or broke off."""


class CameraReplaced(CameraError):
    """Another camera was published to the session and took this one's place."""


def left() -> LookbackError:
    """What becomes of answers that are not complete when their session is left."""
    return LookbackError("The session was left before the end.", code=LEFT)


def from_error(
    error: Mapping[str, Any], *, status: int | None = None, retry_after: float | None = None
) -> LookbackError:
    """The gateway's `{type, code, message, param}` as an exception."""
    code, message = str(error.get("code") or ""), str(error.get("message") or "It was refused.")
    param, lookback = error.get("param"), error.get("lookback")
    if code == "unknown_session":
        return SessionLost(message, reason=code, status=status)
    kind = LookbackError
    if status == 401 or code in ("not_allowed", "http_403"):
        kind = NotAllowed
    elif status in (429, 503) or code in _BUSY:
        kind = Busy
    elif code == "no_frames_yet":
        kind = NoFramesYet
    return kind(
        message,
        code=code,
        status=status,
        # A websocket's error has no headers.
        retry_after=retry_after or (lookback or {}).get("retry_after_seconds"),
        param=param,
        lookback=lookback,
    )
