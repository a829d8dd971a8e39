"""The HTTP interface: sessions, cameras, health."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, WebSocket
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field, StrictInt

from server.access import Caller, allowed
from server.frames import publish
from server.presence import attended
from server.realtime import converse
from server.replies import SdpAnswer, Session, SessionState, replying
from server.served import sessions_of
from server.text import Text

router = APIRouter()

Publisher = Annotated[Caller, Depends(allowed("publish"))]
Asker = Annotated[Caller, Depends(allowed("ask"))]
Manager = Annotated[Caller, Depends(allowed("manage"))]
Anyone = Annotated[Caller, Depends(allowed())]


class NewSession(BaseModel):
    """What a session is asked for; budget_tokens None takes the worker's default, instructions
    are a system prompt. ticket: what a refusal (`no_room`) gave, so that the place in the queue is
    kept."""

    model_config = ConfigDict(extra="forbid")

    budget_tokens: Annotated[StrictInt, Field(ge=1, le=100_000_000)] | None = None
    instructions: Text | None = None
    ticket: Annotated[Text, Field(max_length=64)] | None = None


class Offer(BaseModel):
    """A browser's RTCSessionDescription."""

    sdp: Text
    type: str = Field(pattern="^offer$")


@router.post(
    "/v1/sessions",
    status_code=201,
    responses=replying(Session, "The new session", 201),
    response_model=None,
)
async def create_session(
    request: Request, caller: Manager, wanted: NewSession | None = None
) -> dict[str, Any]:
    """Reserves a memory."""
    wanted = wanted or NewSession()
    sessions, limits = sessions_of(request), request.app.state.limits
    limits.new_session(caller.party)
    with (
        limits.sessions.one_more(caller.party, sessions.held_by(caller.party)),
        request.app.state.observer.opening(),
    ):
        opening = sessions.open(caller, wanted.budget_tokens, wanted.instructions, wanted.ticket)
        session = await attended(request, sessions, opening)
    return session.described()


@router.get(
    "/v1/sessions/{session}",
    responses=replying(SessionState, "The session, now"),
    response_model=None,
)
async def read_session(request: Request, caller: Anyone, session: str) -> dict[str, Any]:
    """Memory, camera, listeners and responses, now."""
    return (await sessions_of(request).find(session, caller)).state()


@router.delete("/v1/sessions/{session}", status_code=204)
async def delete_session(request: Request, caller: Manager, session: str) -> Response:
    """Frees the memory."""
    sessions = sessions_of(request)
    await sessions.close(
        await sessions.find(session, caller), "closed", "It was closed by its user."
    )
    return Response(status_code=204)


@router.post("/v1/sessions/{session}/close", status_code=204)
async def close_session(request: Request, caller: Manager, session: str) -> Response:
    """As DELETE, for navigator.sendBeacon, which can only POST."""
    return await delete_session(request, caller, session)


@router.post("/v1/sessions/{session}/offer", responses=replying(SdpAnswer, "The answer"))
async def offer_camera(
    request: Request, caller: Publisher, session: str, offer: Offer
) -> JSONResponse:
    """Connects a camera by WebRTC; another offer replaces it."""
    sessions = sessions_of(request)
    watching = await sessions.find(session, caller)
    sessions.admit_camera(watching)
    _, answer = await watching.offers.answer(offer.sdp)
    return JSONResponse({"sdp": answer, "type": "answer", "camera": watching.cameras.number})


@router.websocket("/v1/sessions/{session}/frames")
async def frames(websocket: WebSocket, caller: Publisher, session: str, acks: bool = False) -> None:
    """A camera that sends JPEG, PNG or WebP pictures, with their times, as binary messages."""
    await publish(websocket, caller, websocket.app.state.sessions, session, acks=acks)


@router.websocket("/v1/realtime")
async def realtime(
    websocket: WebSocket,
    caller: Asker,
    session: str = "",
    model: str = "",
    after: str | None = None,
) -> None:
    """The conversation about a session, in events of the Realtime API. `model` names the session
    where `session` does not: it is all that OpenAI's clients can tell."""
    await converse(websocket, caller, websocket.app.state.sessions, session or model, after)
