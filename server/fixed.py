"""What of a session is fixed when it is made."""

from messages.sessions import OpenSession
from server.errors import ClientError


def check_fixed(wanted: OpenSession, instructions: str | None, param: str) -> None:
    """Raises ClientError where these are given and are not the session's instructions."""
    if instructions is not None and instructions.strip() != (wanted.instructions or ""):
        raise ClientError(
            "session_fixed",
            "A session's instructions are fixed when it is made: give them to "
            "POST /v1/sessions, and leave them out here.",
            param=param,
        )
