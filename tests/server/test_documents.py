"""The documents are current, whole, and true of what is really said."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import msgspec
import pytest
from openapi_spec_validator import validate
from starlette.routing import WebSocketRoute

from server.documents import FOLDER, written
from server.events import parse
from server.replies import Alive, ErrorReply, Ready, SdpAnswer, Session, SessionState
from tests.server.routing import routes

_OURS = ("/v1", "/whip", "/health", "/ready")


def _references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            yield part["$ref"]
        part = list(part.values())
    if isinstance(part, list):
        for one in part:
            yield from _references(one)


@pytest.mark.parametrize("file", ["openapi.json", "asyncapi.json"])
def test_the_file_is_current(file: str) -> None:
    stands = (FOLDER / file).read_text() if (FOLDER / file).exists() else ""
    assert written()[file] == stands, f"docs/{file} is not what the code says: run `make docs`"


def test_openapi_finds_its_document_valid() -> None:
    validate(json.loads(written()["openapi.json"]))


@pytest.mark.parametrize("file", ["openapi.json", "asyncapi.json"])
def test_what_is_referred_to_is_there(file: str) -> None:
    document = json.loads(written()[file])
    references = set(_references(document))
    assert len(references) > 20
    for reference in references:
        part = document
        for name in reference.removeprefix("#/").split("/"):
            part = part[name]


def test_every_route_and_every_websocket_is_described() -> None:
    openapi, asyncapi = (json.loads(written()[f"{n}.json"]) for n in ("openapi", "asyncapi"))
    for route in routes():
        path = route.path.replace(":path", "")
        if isinstance(route, WebSocketRoute) or "websocket" in type(route).__name__.lower():
            assert path in {channel["address"] for channel in asyncapi["channels"].values()}
        elif path.startswith(_OURS) and getattr(route, "include_in_schema", True):
            methods = {method.lower() for method in route.methods or ()}
            assert methods <= set(openapi["paths"][path]), path
    assert len(openapi["paths"]) >= 9 and len(asyncapi["channels"]) == 2


def test_every_client_event_that_is_described_is_understood() -> None:
    document = json.loads(written()["asyncapi.json"])
    asked = document["operations"]["ask"]["messages"]
    names = [reference["$ref"].rpartition("/")[2] for reference in asked]
    tags = [document["components"]["messages"][name]["name"] for name in names]
    filled = {
        "conversation.item.create": {
            "item": {
                "type": "message",
                "role": "user",
                "content": [{"type": "input_text", "text": "?"}],
            }
        },
        "session.update": {"session": {}},
    }
    for tag in tags:
        event = parse(json.dumps({"type": tag, **filled.get(tag, {})}))
        assert type(event).__name__ in names
    assert "conversation.item.create" in tags and len(tags) == len(set(tags)) >= 5


async def test_what_http_replies_is_as_described(gateway: str, worker: Any, tools: Any) -> None:
    async with httpx.AsyncClient(base_url=gateway) as client:
        for path, kind in (("/health", Alive), ("/ready", Ready), ("/v1/sessions/x", ErrorReply)):
            msgspec.convert((await client.get(path)).json(), kind)
        made = (await client.post("/v1/sessions", json={})).json()
        msgspec.convert(made, Session)
        path = f"/v1/sessions/{made['id']}"
        msgspec.convert((await client.get(path)).json(), SessionState)
        async with tools.sending(gateway, made["id"]):
            await tools.eventually(lambda: any(f.session == made["id"] for f in worker.frames))
            async with tools.talking(gateway, made["id"]) as listener:
                await listener.until("lookback.memory.updated")
            state = msgspec.convert((await client.get(path)).json(), SessionState)
        assert state.memory is not None and state.memory.frames_seen > 0
        assert state.camera.state == "live"
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert({**made, "undescribed": 1}, Session)
        for file in ("openapi.json", "asyncapi.json"):
            assert (await client.get(f"/{file}")).json() == json.loads(written()[file])
    msgspec.convert({"sdp": "v=0", "type": "answer", "camera": 1}, SdpAnswer)
