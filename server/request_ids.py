"""Every request has an id: in its log lines, and in the reply's X-Request-Id.

A caller's own id is taken where it is a plain word, so that its lines and ours can be joined.
"""

import logging
import re
import secrets
import time
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.metrics import GatewayMetrics
from telemetry.logs import about
from telemetry.tracing import incoming

log = logging.getLogger(__name__)

HEADER: Final = "X-Request-Id"
_PLAIN: Final = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
_SWITCHED: Final = 101
_NONE: Final = 0
_OUR_FAULT: Final = 500
_STATE: Final = "request_id"


class RequestIds:
    """ASGI middleware, to stand before all others. Counts what it lets through, by route."""

    def __init__(self, app: ASGIApp, metrics: GatewayMetrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        given = headers.get(HEADER, "")
        # What begins as a key or a token may be one.
        plain = _PLAIN.fullmatch(given) and not given.startswith(("lb_", "eyJ"))
        identity = given if plain else secrets.token_hex(8)
        websocket = scope["type"] == "websocket"
        began, status, open_route = time.monotonic(), _NONE, None
        scope.setdefault("state", {})[_STATE] = identity

        async def answered(message: Message) -> None:
            nonlocal status, open_route
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                status = message["status"]
                MutableHeaders(scope=message)[HEADER] = identity
            elif message["type"] == "websocket.accept":
                status = _SWITCHED
                MutableHeaders(scope=message)[HEADER] = identity
                open_route = _route(scope) or "other"
                self._metrics.websocket(open_route, 1)
            elif message["type"] == "websocket.close" and status == _NONE:
                status = 403  # what the server makes of a handshake that is not accepted
            await send(message)

        token = None if websocket else incoming.set(headers.get("traceparent"))
        try:
            with about(request=identity):
                try:
                    await self._app(scope, receive, answered)
                except Exception as error:
                    status = status or _OUR_FAULT
                    log.error("%s failed: %s", _route(scope), type(error).__name__)
                    raise  # whoever serves us logs the traceback
                finally:
                    method = "WEBSOCKET" if websocket else scope["method"]
                    route = _route(scope)
                    self._metrics.answered(method, route, status)
                    seconds = time.monotonic() - began
                    log.debug("%s %s %d in %.3f s", method, route, status, seconds)
        finally:
            if open_route is not None:
                self._metrics.websocket(open_route, -1)
            if token is not None:
                incoming.reset(token)


def identity_of(scope: Scope) -> str:
    """The id of the request that is being served."""
    identity: str = scope["state"][_STATE]
    return identity


def _route(scope: Scope) -> str | None:
    """The template that the path fits; the path itself may hold a session's id."""
    path: str | None = getattr(scope.get("route"), "path", None)
    return path
