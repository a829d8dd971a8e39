"""How a request, or a websocket that was not accepted yet, is answered with an error."""

import math
from typing import Final

import msgspec
from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from server.access import accept
from server.errors import ClientError, error_event

_CLOSE_CODES: Final = {401: 3000, 403: 3003, 429: 1013, 503: 1013}
"""Websocket close codes by status: unauthorized, forbidden (IANA's registry), try again later."""
_POLICY: Final = 1008
_CHALLENGES: Final = {
    "missing_credentials": "Bearer",
    "invalid_credentials": 'Bearer error="invalid_token"',
    "expired_token": 'Bearer error="invalid_token", error_description="expired"',
    "not_allowed": 'Bearer error="insufficient_scope"',
}
"""`WWW-Authenticate` by the error's code (RFC 6750, section 3)."""


def error_response(error: ClientError) -> JSONResponse:
    """The error as an HTTP answer, in the one shape that all have."""
    headers = {}
    if error.retry_after is not None:
        headers["Retry-After"] = str(math.ceil(error.retry_after))
    if error.code in _CHALLENGES:
        headers["WWW-Authenticate"] = _CHALLENGES[error.code]
    return JSONResponse({"error": error.body()}, error.status, headers)


async def refuse(error: ClientError, scope: Scope, receive: Receive, send: Send) -> None:
    """With an HTTP answer, also to a websocket's handshake."""
    if scope["type"] == "websocket" and "websocket.http.response" not in scope["extensions"]:
        await send({"type": "websocket.close", "code": _POLICY, "reason": error.code})
        return
    await error_response(error)(scope, receive, send)


async def turn_away(error: ClientError, scope: Scope, receive: Receive, send: Send) -> None:
    """As `refuse`, but in words that a page can read: browsers keep a handshake's answer to
    themselves, so their websockets are accepted, told, and closed."""
    if scope["type"] != "websocket" or "origin" not in Headers(scope=scope):
        await refuse(error, scope, receive, send)
        return
    websocket = WebSocket(scope, receive, send)
    await accept(websocket)
    await websocket.send_text(msgspec.json.encode(error_event(error, None)).decode())
    await websocket.close(_CLOSE_CODES.get(error.status, _POLICY), error.code)
