"""Sessions as files: taken along, and gone on with."""

import contextlib
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import IO, Annotated, Any, Final

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import StreamingResponse

from messages.files import Option
from server.access import Caller, allowed
from server.errors import RETRY_SECONDS, ServiceError
from server.limits import Limits
from server.presence import attended
from server.replies import Session, replying
from server.sessions import Sessions

IMPORT: Final = "/v1/sessions/import"
_KIND: Final = "application/octet-stream"
_IN_MEMORY: Final = 1 << 22  # bytes of a file that comes before it is put on disk
_KEEP_SECONDS: Final = 5.0
_BINARY: Final = {_KIND: {"schema": {"type": "string", "format": "binary"}}}

router = APIRouter()

Manager = Annotated[Caller, Depends(allowed("manage"))]


@router.get(
    "/v1/sessions/{session}/snapshot",
    responses={200: {"description": "A file as docs/snapshots.md describes", "content": _BINARY}},
    response_class=StreamingResponse,
    response_model=None,
)
async def export_session(
    request: Request, caller: Manager, session: str, option: Annotated[Option, Query()] = "exact"
) -> StreamingResponse:
    """The session's memory, as it is now, as a file with which another session can begin: `exact`,
    or smaller. The session goes on. What is being answered is no part of it."""
    sessions: Sessions = request.app.state.sessions
    found = await sessions.find(session, caller)
    pieces = found.export(option)
    first = await anext(pieces, b"")  # what cannot be had at all is an error in words

    async def all_pieces() -> AsyncIterator[bytes]:
        async with contextlib.aclosing(pieces):
            yield first
            async for piece in pieces:
                yield piece

    name = f'attachment; filename="{found.name}.lbmem"'
    return StreamingResponse(
        all_pieces(),
        media_type=_KIND,
        headers={"Content-Disposition": name, "Cache-Control": "no-store"},
    )


@router.post(
    IMPORT,
    status_code=201,
    responses=replying(Session, "The new session", 201),
    response_model=None,
    openapi_extra={"requestBody": {"required": True, "content": _BINARY}},
)
async def import_session(
    request: Request,
    caller: Manager,
    ticket: Annotated[str | None, Query(max_length=64)] = None,
) -> dict[str, Any]:
    """A new session that begins with the memory in the file that is the body. ticket: as with
    `POST /v1/sessions`; the file is sent again with it."""
    sessions: Sessions = request.app.state.sessions
    limits: Limits = request.app.state.limits
    limits.new_session(caller.party)
    with (
        limits.sessions.one_more(caller.party, sessions.held_by(caller.party)),
        limits.imports.one_more(""),
        tempfile.SpooledTemporaryFile(_IN_MEMORY) as file,
    ):
        await _receive(request, file, lambda: sessions.keep_place(ticket, caller))
        session = await attended(request, sessions, sessions.restore(caller, file, ticket))
    return session.described()


async def _receive(request: Request, file: IO[bytes], keep: Callable[[], Awaitable[None]]) -> None:
    """keep: is called from time to time meanwhile."""
    kept_at = float("-inf")
    try:
        async for data in request.stream():
            file.write(data)
            if time.monotonic() - kept_at > _KEEP_SECONDS:
                kept_at = time.monotonic()
                await keep()
    except OSError as error:
        raise ServiceError(
            "no_space",
            f"The gateway has no room for the file ({error.strerror}): set TMPDIR to a folder that "
            "has, or export with the option 8-bit or entropy.",
            status=503,
            retry_after=5 * RETRY_SECONDS,
        ) from error
