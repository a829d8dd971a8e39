"""What is refused before anybody reads it: pages of other origins, names that are not this
gateway's, and bodies without end.

Pages of the origins that are welcome are told so in the browsers' way (CORS).
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.errors import ClientError
from server.hosts import Hosts
from server.refusal import refuse

BODY_BYTES: Final = 131072
_NONE: Final[Mapping[str, int]] = MappingProxyType({})
_HARMLESS: Final = ("GET", "HEAD", "OPTIONS")
_DEFAULT_PORTS: Final = {"http": 80, "https": 443, "ws": 80, "wss": 443}
_PREFLIGHT: Final = {
    "Access-Control-Allow-Methods": "GET, POST, PATCH, DELETE, OPTIONS",
    # OpenAI's JavaScript client sends a dozen of its own (X-Stainless-…, OpenAI-…): `*` is any but
    # Authorization, where no cookies are sent along, and none are here.
    "Access-Control-Allow-Headers": "Authorization, Content-Type, If-Match, *",
    "Access-Control-Max-Age": "600",
}
_EXPOSED: Final = "Location, Link, ETag, Accept-Patch, Retry-After, X-Request-Id"


class Guard:
    """ASGI middleware. A browser names the page's origin with every websocket and every request
    that changes something: it must be this gateway's own, or one of `allowed_origins`. Programs
    name none and pass. large: paths whose bodies may have more bytes than BODY_BYTES. hosts: the
    names that it may be called by; None: any."""

    def __init__(
        self,
        app: ASGIApp,
        allowed_origins: Iterable[str],
        large: Mapping[str, int] = _NONE,
        hosts: Hosts | None = None,
    ) -> None:
        self._app = app
        self._hosts = hosts
        self._large = large
        self._allowed = {origin.rstrip("/").lower() for origin in allowed_origins}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        try:
            if self._hosts is not None:
                self._hosts.check(headers.get("host"))
        except ClientError as unknown:
            await refuse(unknown, scope, receive, send)
            return
        origin = headers.get("origin")
        preflight = _is_preflight(scope, headers)
        changes = preflight or scope["type"] == "websocket" or scope["method"] not in _HARMLESS
        welcome = origin is not None and self._welcome(origin, headers.get("host", ""))
        if changes and origin is not None and not welcome:
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
        if origin is not None and welcome:
            send = _sharing(send, origin)
        if preflight:
            await Response(status_code=204, headers=_PREFLIGHT)(scope, receive, send)
            return
        most = self._large.get(scope["path"], BODY_BYTES)
        too_large = ClientError(
            "body_too_large", f"A request's body has at most {most} bytes.", status=413
        )
        length = headers.get("content-length", "0")
        if length.isdecimal() and int(length) > most:
            await refuse(too_large, scope, receive, send)
            return
        received = 0
        refused = False

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > most:
                raise too_large
            return message

        async def answered(message: Message) -> None:
            # Frameworks turn what reading a body raises into errors of their own.
            nonlocal refused
            if received <= most:
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


def _is_preflight(scope: Scope, headers: Headers) -> bool:
    return (
        scope["type"] == "http"
        and scope["method"] == "OPTIONS"
        and "origin" in headers
        and "access-control-request-method" in headers
    )


def _sharing(send: Send, origin: str) -> Send:
    """Lets a page of this origin read what is sent."""

    async def shared(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers["Access-Control-Allow-Origin"] = origin
            headers["Access-Control-Expose-Headers"] = _EXPOSED
            headers.add_vary_header("Origin")
        await send(message)

    return shared
