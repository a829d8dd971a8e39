"""Whether who sent a request still waits for the answer."""

import asyncio
from collections.abc import Awaitable

from starlette.requests import Request

from server.session import Session
from server.sessions import Sessions
from server.tasks import stop


async def gone(request: Request) -> None:
    """Returns when the client has left. Its body must have been read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def attended(request: Request, sessions: Sessions, opening: Awaitable[Session]) -> Session:
    """The new session; where its client has left meanwhile it is closed at once, so that its room
    goes to somebody who is there. Raises what `opening` raises."""
    leaving = asyncio.create_task(gone(request))
    try:
        session = await opening
        if leaving.done():
            await sessions.close(session, "closed", "Who asked for it had gone.")
        return session
    finally:
        await stop(leaving)
