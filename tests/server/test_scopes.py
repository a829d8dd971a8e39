"""What each scope lets its callers do: a real gateway with keys."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from websockets.asyncio.client import connect

from tests.server.clients import data_url
from tests.server.keyed import Keyed, bearer, keyed

OFFER = {"sdp": "v=0", "type": "offer"}


@pytest.fixture(scope="module")
def gateway(broker_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keyed]:
    with keyed(broker_url, tmp_path_factory.mktemp("keys")) as made:
        yield made


@pytest.mark.parametrize(
    ("method", "path", "body", "scopes"),
    [
        ("POST", "/v1/sessions", {}, {"manage"}),
        ("POST", "/v1/sessions/x/close", {}, {"manage"}),
        ("DELETE", "/v1/sessions/x", None, {"manage"}),
        ("POST", "/v1/sessions/x/tokens", {}, {"manage"}),
        ("POST", "/v1/realtime/client_secrets", {"session": {"model": "x"}}, {"manage"}),
        ("GET", "/v1/sessions/x", None, {"publish", "ask", "manage"}),
        ("GET", "/v1/models", None, {"publish", "ask", "manage"}),
        ("POST", "/v1/sessions/x/offer", OFFER, {"publish"}),
        ("POST", "/whip/x", None, {"publish"}),
        ("PATCH", "/whip/x/y", None, {"publish"}),
        ("DELETE", "/whip/x/y", None, {"publish"}),
        ("GET", "/v1/ice-servers", None, {"publish"}),
        ("POST", "/v1/sessions/x/rtp", {"codec": "VP8"}, {"publish"}),
        ("POST", "/v1/sessions/x/rtsp", {"url": "rtsp://camera/"}, {"publish"}),
        (
            "POST",
            "/v1/chat/completions",
            {"model": "x", "messages": [{"role": "user", "content": "?"}]},
            {"ask"},
        ),
    ],
)
def test_a_key_may_do_what_its_scopes_say(
    gateway: Keyed, method: str, path: str, body: Any, scopes: set[str]
) -> None:
    for name in ("publish", "ask", "manage"):
        with gateway.http(name) as http:
            reply = http.request(method, path, json=body)
        error = reply.json().get("error", {}).get("code")
        assert (error == "not_allowed") is (name not in scopes), (name, reply.text)
        if error == "not_allowed":
            assert reply.status_code == 403 and f"have: {name}" in reply.text
            assert "insufficient_scope" in reply.headers["www-authenticate"]
        if reply.status_code == 201:
            with gateway.http(name) as http:
                http.delete(f"/v1/sessions/{reply.json()['id']}")


async def test_a_picture_with_a_question_takes_who_may_publish(gateway: Keyed) -> None:
    session = gateway.session()
    content = [
        {"type": "input_image", "image_url": data_url()},
        {"type": "input_text", "text": "?"},
    ]
    item = {"type": "message", "role": "user", "content": content}
    for scopes, outcome in ((["ask"], "error"), (["ask", "publish"], "conversation.item.added")):
        said = bearer(gateway.token(session, scopes=scopes))
        path = gateway.url.replace("http", "ws") + f"/v1/realtime?session={session}"
        async with connect(path, additional_headers=said) as websocket, asyncio.timeout(20):
            await websocket.send(json.dumps({"type": "conversation.item.create", "item": item}))
            events: list[Any] = [{}]
            while events[-1].get("type") not in ("error", "conversation.item.added"):
                events.append(json.loads(await websocket.recv()))
        assert events[-1]["type"] == outcome
        assert outcome != "error" or events[-1]["error"]["code"] == "not_allowed"
    parts = [{"type": "image_url", "image_url": {"url": data_url()}}, {"type": "text", "text": "?"}]
    chat = {"model": session, "messages": [{"role": "user", "content": parts}]}
    with gateway.http(gateway.token(session, scopes=["ask"])) as http:
        refused = http.post("/v1/chat/completions", json=chat)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "not_allowed")
