"""Who calls, and what they may do.

Every request and websocket is a `Caller`'s; routes say by `allowed` what the caller must be
allowed to. Without API keys everybody may do everything.
"""

from dataclasses import dataclass
from typing import Final

from fastapi.openapi.models import HTTPBearer
from fastapi.security.base import SecurityBase
from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.websockets import WebSocket

from server.errors import ClientError
from server.scopes import Scope

SUBPROTOCOL: Final = "realtime"
SUBPROTOCOL_KEY: Final = "openai-insecure-api-key."
"""Browsers can set no headers on a websocket: they offer their key as a subprotocol, by OpenAI's
convention."""


@dataclass(frozen=True)
class Caller:
    """name: of the API key; where there are none, the address. session: the only one that this
    caller may use; None: all of its key. key: the id of the API key; None where there are none."""

    name: str
    scopes: frozenset[Scope]
    session: str | None = None
    key: str | None = None

    @property
    def party(self) -> str:
        """Who shares the limits with it: all callers with the same key, or from one address."""
        return f"address {self.name}" if self.key is None else f"key {self.key}"

    def reaches(self, session: str, owner: str | None) -> bool:
        """Whether the session that this key has made is there for this caller."""
        return self.key == owner and self.session in (None, session)

    def require(self, *scopes: Scope) -> None:
        """Raises ClientError (403) unless one of these scopes is the caller's."""
        if self.scopes.isdisjoint(scopes):
            wanted = " or ".join(repr(scope) for scope in scopes)
            held = ", ".join(sorted(self.scopes))
            raise ClientError(
                "not_allowed",
                f"This needs the scope {wanted}; these credentials have: {held}.",
                status=403,
            )


class allowed(SecurityBase):  # it reads as a verb: Depends(allowed("publish"))
    """FastAPI dependency for routes and websockets: the Caller. Raises ClientError, 401 where
    nobody has been let in, 403 where none of these scopes is the caller's; without scopes, whoever
    was let in may go on."""

    def __init__(self, *scopes: Scope) -> None:
        self.scopes = scopes
        self.model = HTTPBearer(description="An API key, or a session's token.")
        self.scheme_name = "Bearer"

    async def __call__(self, connection: HTTPConnection) -> Caller:
        caller: Caller | None = connection.scope["state"]["caller"]
        if caller is None:
            raise missing_credentials()
        if self.scopes:
            caller.require(*self.scopes)
        return caller


def missing_credentials() -> ClientError:
    """Nobody has said who they are."""
    return ClientError(
        "missing_credentials",
        "Send an API key or a session's token: Authorization: Bearer lb_…; browsers' websockets "
        f"offer it as a subprotocol, {SUBPROTOCOL_KEY}….",
        status=401,
    )


async def accept(websocket: WebSocket) -> None:
    """Takes the subprotocol `realtime` where it is offered: browsers close a websocket whose
    subprotocols are all passed over. One that holds a key is never repeated."""
    await websocket.accept(SUBPROTOCOL if SUBPROTOCOL in offered(websocket.headers) else None)


def offered(headers: Headers) -> list[str]:
    """The subprotocols that a websocket offers."""
    return [
        name.strip()
        for line in headers.getlist("sec-websocket-protocol")
        for name in line.split(",")
    ]
