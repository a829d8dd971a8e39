"""What somebody with an API key hands to a camera or a page that has none: tokens, ICE servers."""

import time
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field, StrictInt

from server.access import Caller, allowed
from server.authentication import Authentication
from server.errors import ClientError
from server.ice import IceServers as Servers
from server.replies import ClientSecret, IceServers, Token, replying
from server.scopes import SCOPES, Scope
from server.sessions import Sessions


def _never_kept(response: Response) -> None:
    """What is handed out is nobody else's, and no cache's."""
    response.headers["Cache-Control"] = "no-store"


router = APIRouter(dependencies=[Depends(_never_kept)])

Manager = Annotated[Caller, Depends(allowed("manage"))]
Publisher = Annotated[Caller, Depends(allowed("publish"))]

_HANDED_ON = frozenset(SCOPES - {"manage", "observe"})


class NewToken(BaseModel):
    """What a token is asked for. scopes: by default all that whoever asks may hand on; expires_in:
    seconds."""

    model_config = ConfigDict(extra="forbid")

    scopes: Annotated[frozenset[Scope], Field(min_length=1)] | None = None
    expires_in: Annotated[StrictInt, Field(ge=10)] = 3600


class Expiry(BaseModel):
    """As OpenAI's clients say it."""

    anchor: str = Field(default="created_at", pattern="^created_at$")
    seconds: Annotated[int, Field(ge=10)] = 600


class SecretSession(BaseModel):
    """OpenAI's description of a session: `model` is the session's id here."""

    model: str
    type: str = "realtime"


class NewSecret(BaseModel):
    """A client secret, as OpenAI's clients ask for one."""

    session: SecretSession
    expires_after: Expiry = Expiry()


@router.post(
    "/v1/sessions/{session}/tokens",
    status_code=201,
    responses=replying(Token, "The token, which is shown here only", 201),
    response_model=None,
)
async def create_token(
    request: Request, caller: Manager, session: str, wanted: NewToken | None = None
) -> dict[str, Any]:
    """A short-lived token for this session only, to publish, to ask, or both. Whoever asks must be
    allowed to what it allows."""
    wanted = wanted or NewToken()
    scopes = caller.scopes & _HANDED_ON if wanted.scopes is None else wanted.scopes
    token, expires_at = await _sign(request, caller, session, scopes, wanted.expires_in)
    return {
        "token": token,
        "expires_at": expires_at,
        "scopes": sorted(scopes),
        "session": session,
    }


@router.post(
    "/v1/realtime/client_secrets",
    responses=replying(ClientSecret, "The token, in OpenAI's words"),
    response_model=None,
)
async def create_client_secret(
    request: Request, caller: Manager, wanted: NewSecret
) -> dict[str, Any]:
    """The same for OpenAI's clients, for all that the caller may hand on: `session.model` is the
    session's id."""
    session, scopes = wanted.session.model, caller.scopes & _HANDED_ON
    value, expires_at = await _sign(request, caller, session, scopes, wanted.expires_after.seconds)
    return {
        "value": value,
        "expires_at": expires_at,
        "session": {"type": "realtime", "object": "realtime.session", "id": session},
    }


async def _sign(
    request: Request, caller: Caller, session: str, scopes: frozenset[Scope], seconds: int
) -> tuple[str, int]:
    """The token and when it expires. Raises ClientError."""
    sessions: Sessions = request.app.state.sessions
    authentication: Authentication = request.app.state.authentication
    await sessions.find(session, caller)
    if not scopes <= _HANDED_ON:
        raise ClientError(
            "invalid_request",
            "A token is for 'publish' and 'ask'; to make and close sessions takes an API key.",
            param="scopes",
            status=422,
        )
    if not scopes or not scopes <= caller.scopes:
        raise ClientError(
            "not_allowed",
            "A token allows what its key does, and no more: "
            f"{', '.join(sorted(caller.scopes & _HANDED_ON)) or 'nothing that a token can'}.",
            param="scopes",
            status=403,
        )
    longest = sessions.settings.longest_token_seconds
    if seconds > longest:
        raise ClientError(
            "invalid_request",
            f"A token is good for {longest} s at most (LOOKBACK_LONGEST_TOKEN_SECONDS).",
            param="expires_in",
            status=422,
        )
    return authentication.token(caller, session, scopes, seconds)


@router.get(
    "/v1/ice-servers",
    responses=replying(IceServers, "For RTCPeerConnection's `iceServers`"),
    response_model=None,
)
async def ice_servers(request: Request, caller: Publisher) -> dict[str, Any]:
    """The STUN and TURN servers that this gateway was told of; none by default."""
    ice: Servers = request.app.state.ice
    expires_at = None if ice.seconds is None else int(time.time()) + ice.seconds
    return {"ice_servers": ice.told(caller.name), "expires_at": expires_at}
