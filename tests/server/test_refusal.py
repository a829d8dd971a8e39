"""Errors as answers, in the words of HTTP."""

import json
from typing import Any

import pytest

from server.errors import ClientError
from server.refusal import error_response, refuse, turn_away


@pytest.mark.parametrize(
    ("code", "challenge"),
    [
        ("missing_credentials", "Bearer"),
        ("invalid_credentials", 'Bearer error="invalid_token"'),
        ("not_allowed", 'Bearer error="insufficient_scope"'),
        ("other", None),
    ],
)
def test_an_answer_says_how_to_do_better(code: str, challenge: str | None) -> None:
    response = error_response(ClientError(code, "No.", status=401, retry_after=1.2))
    assert (response.status_code, response.headers["retry-after"]) == (401, "2")
    assert response.headers.get("www-authenticate") == challenge
    assert json.loads(bytes(response.body))["error"]["code"] == code


async def test_a_server_that_cannot_answer_a_handshake_closes_it() -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        raise AssertionError("nothing is read")

    scope: Any = {"type": "websocket", "headers": [], "extensions": {}}
    for answer in (refuse, turn_away):
        await answer(ClientError("why", "No."), scope, receive, send)
    assert sent == [{"type": "websocket.close", "code": 1008, "reason": "why"}] * 2
