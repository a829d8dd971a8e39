"""What is refused before anybody reads it: pages of other origins, and bodies without end."""

from collections.abc import Iterable
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.errors import ClientError

BODY_BYTES: Final = 131072
_HARMLESS: Final = ("GET", "HEAD", "OPTIONS")
_DEFAULT_PORTS: Final = {"http": 80, "https": 443, "ws": 80, "wss": 443}


class Guard:
    """ASGI middleware. A browser names the page's origin with every websocket and every POST:
    it must be this gateway's own, or one of `allowed_origins`. Programs name none and pass."""

    def __init__(self, app: ASGIApp, allowed_origins: Iterable[str]) -> None:
        self._app = app
        self._allowed = {origin.rstrip("/").lower() for origin in allowed_origins}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        changes = scope["type"] == "websocket" or scope["method"] not in _HARMLESS
        origin = headers.get("origin")
        if changes and origin is not None and not self._welcome(origin, headers.get("host", "")):
            error = ClientError(
                "foreign_origin",
                f"Pages of {origin[:200]} may not use this gateway: add the origin to "
                "LOOKBACK_ALLOWED_ORIGINS.",
                status=403,
            )
            await refuse(error, scope, receive, send)
            return
        if scope["type"] == "websocket":
            await self._app(scope, receive, send)
            return
        too_large = ClientError(
            "body_too_large", f"A request's body has at most {BODY_BYTES} bytes.", status=413
        )
        length = headers.get("content-length", "0")
        if length.isdecimal() and int(length) > BODY_BYTES:
            await refuse(too_large, scope, receive, send)
            return
        received = 0
        refused = False

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > BODY_BYTES:
                raise too_large
            return message

        async def answered(message: Message) -> None:
            # Frameworks turn what reading a body raises into errors of their own.
            nonlocal refused
            if received <= BODY_BYTES:
                await send(message)
            elif not refused:
                refused = True
                await refuse(too_large, scope, receive, send)

        await self._app(scope, counted, answered)

    def _welcome(self, origin: str, host: str) -> bool:
        if origin.lower() in self._allowed:
            return True
        try:
            page, here = urlsplit(origin), urlsplit(f"{urlsplit(origin).scheme}://{host}")
            default = _DEFAULT_PORTS.get(page.scheme)
            return page.hostname is not None and (page.hostname, page.port or default) == (
                here.hostname,
                here.port or default,
            )
        except ValueError:
            return False


async def refuse(error: ClientError, scope: Scope, receive: Receive, send: Send) -> None:
    """Answers a request, or a websocket before it is accepted, with this error."""
    headers = None if error.retry_after is None else {"Retry-After": str(int(error.retry_after))}
    response = JSONResponse({"error": error.body()}, error.status, headers)
    if scope["type"] == "websocket" and "websocket.http.response" not in scope["extensions"]:
        await send({"type": "websocket.close", "code": 1008, "reason": error.code})
        return
    await response(scope, receive, send)
