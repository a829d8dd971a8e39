"""What this gateway serves, as its routes find it."""

from starlette.requests import HTTPConnection

from server.sessions import Sessions


def sessions_of(connection: HTTPConnection) -> Sessions:
    """All of this gateway's."""
    sessions: Sessions = connection.app.state.sessions
    return sessions
