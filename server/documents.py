"""The interface as OpenAPI and AsyncAPI documents, made from the code that serves it.

`make docs` writes them to docs/openapi.json and docs/asyncapi.json; the gateway serves them, too.
"""

import json
from pathlib import Path
from typing import Any, Final, get_args

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from server.access import SUBPROTOCOL, SUBPROTOCOL_KEY
from server.chat import ChatChunk
from server.events import ClientEvent
from server.replies import REPLIES
from server.server_events import FramesEvent, RealtimeEvent
from server.settings import GatewaySettings

FOLDER: Final = Path(__file__).parent.parent / "docs"
_SCHEMA: Final = "#/components/schemas/{name}"
_VERSION: Final = "1"
_FASTAPIS_OWN: Final = ("HTTPValidationError", "ValidationError")
_DESCRIPTION: Final = (
    "Ask a live camera about anything it has seen. Sessions and cameras over HTTP, questions and "
    "answers over a websocket or by chat completions. docs/api.md explains what stands here."
)
_CREDENTIALS: Final = (
    "An API key or a session's token, where the gateway asks for one. Browsers offer it as the "
    f"subprotocol `{SUBPROTOCOL_KEY}…`, beside `{SUBPROTOCOL}`. docs/security.md explains both."
)

Document = dict[str, Any]


def openapi(app: FastAPI) -> Document:
    """The HTTP interface as an OpenAPI document."""
    document: Document = get_openapi(
        title="Lookback", version=_VERSION, description=_DESCRIPTION, routes=app.routes
    )
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for name in _FASTAPIS_OWN:  # errors have another shape here
        schemas.pop(name, None)
    schemas.update(_schemas(*REPLIES))
    chunk = ChatChunk.model_json_schema(ref_template=_SCHEMA.replace("{name}", "{model}"))
    schemas.update({**chunk.pop("$defs"), "ChatChunk": chunk})
    error = {"application/json": {"schema": {"$ref": _SCHEMA.format(name="ErrorReply")}}}
    for operations in document["paths"].values():
        for operation in operations.values():
            operation["responses"].pop("422", None)
            operation["responses"]["default"] = {
                "description": "An error; `Retry-After` says when to try again, where that helps",
                "content": error,
            }
    return _steady(document)


def asyncapi() -> Document:
    """The websockets as an AsyncAPI document."""
    realtime, frames, client = map(get_args, (RealtimeEvent, FramesEvent, ClientEvent))
    everything = dict.fromkeys((*client, *realtime, *frames))
    messages = {kind.__name__: _message(kind) for kind in everything}
    messages["Frame"] = {
        "name": "frame",
        "contentType": "application/octet-stream",
        "summary": "A picture: its time in seconds as a big-endian IEEE 754 double (8 bytes), "
        "then a JPEG, PNG or WebP file.",
        "payload": {"type": "string", "format": "binary"},
    }
    heard = [kind.__name__ for kind in client]
    told = [kind.__name__ for kind in realtime]
    back = [kind.__name__ for kind in frames]
    query = {
        "session": "The session's id.",
        "model": "The same, from clients that can tell nothing else.",
        "after": "The event_id of the last event that a returning client has.",
    }
    acks = {"acks": "`true`: the frame counters are told, too, once a second."}
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Lookback", "version": _VERSION, "description": _DESCRIPTION},
        "defaultContentType": "application/json",
        "servers": {
            "local": {
                "host": "127.0.0.1:8400",
                "protocol": "ws",
                "security": [_of("securitySchemes", "Bearer")],
            }
        },
        "channels": {
            "realtime": {
                "address": "/v1/realtime",
                "description": "The conversation about a session.",
                "messages": {name: _of("messages", name) for name in [*heard, *told]},
                "bindings": {"ws": {"method": "GET", "query": _strings(query)}},
            },
            "frames": {
                "address": "/v1/sessions/{session}/frames",
                "description": "A camera of a session's, for senders without WebRTC.",
                "parameters": {"session": {"description": query["session"]}},
                "messages": {name: _of("messages", name) for name in ["Frame", *back]},
                "bindings": {"ws": {"method": "GET", "query": _strings(acks)}},
            },
        },
        "operations": {
            "ask": _operation("receive", "realtime", heard),
            "tell": _operation("send", "realtime", told),
            "watch": _operation("receive", "frames", ["Frame"]),
            "acknowledge": _operation("send", "frames", back),
        },
        "components": {
            "messages": messages,
            "schemas": _plain(_schemas(*everything)),
            "securitySchemes": {
                "Bearer": {"type": "http", "scheme": "bearer", "description": _CREDENTIALS}
            },
        },
    }


def _schemas(*kinds: type) -> Document:
    """JSON schemas of message types and of all that they hold, by name."""
    _, schemas = msgspec.json.schema_components(kinds, ref_template=_SCHEMA)
    for schema in schemas.values():
        # Strict only so that the tests notice what is not described; clients must let pass what
        # later versions add.
        schema.pop("additionalProperties", None)
        if "description" in schema:
            schema["description"] = " ".join(schema["description"].split())
    return schemas


def _plain(part: Any) -> Any:
    """Without `discriminator`, which OpenAPI and AsyncAPI write differently: `type` says it all."""
    if isinstance(part, dict):
        return {name: _plain(value) for name, value in part.items() if name != "discriminator"}
    return [_plain(one) for one in part] if isinstance(part, list) else part


def _message(kind: type) -> Document:
    return {
        "name": msgspec.inspect.type_info(kind).tag,  # type: ignore[attr-defined]
        "summary": " ".join((kind.__doc__ or "").split()),
        "payload": {"$ref": _SCHEMA.format(name=kind.__name__)},
    }


def _strings(described: dict[str, str]) -> Document:
    properties = {name: {"type": "string", "description": s} for name, s in described.items()}
    return {"type": "object", "properties": properties}


def _of(kind: str, name: str) -> Document:
    return {"$ref": f"#/components/{kind}/{name}"}


def _operation(action: str, channel: str, messages: list[str]) -> Document:
    here = f"#/channels/{channel}"
    return {
        "action": action,
        "channel": {"$ref": here},
        "messages": [{"$ref": f"{here}/messages/{name}"} for name in messages],
    }


def add_documents(app: FastAPI) -> None:
    """`/openapi.json` and `/asyncapi.json`."""

    @app.get("/openapi.json", include_in_schema=False)
    def openapi_json() -> Document:
        return openapi(app)

    @app.get("/asyncapi.json", include_in_schema=False)
    def asyncapi_json() -> Document:
        return asyncapi()


def written() -> dict[str, str]:
    """The documents' files by name, as they should stand in the docs folder."""
    from server.app import create_app

    documents = {
        "openapi.json": openapi(create_app(GatewaySettings())),
        "asyncapi.json": asyncapi(),
    }
    return {
        name: json.dumps(document, indent=1, ensure_ascii=False) + "\n"
        for name, document in documents.items()
    }


def _steady(part: Document) -> Document:
    """The same in every process: Python takes Literals of other order for equal, and which of
    them stands in a schema is a matter of what was imported first."""
    for name, value in part.items():
        if name == "enum":
            part[name] = sorted(value, key=str)
        for inner in value if isinstance(value, list) else [value]:
            if isinstance(inner, dict):
                _steady(inner)
    return part


if __name__ == "__main__":
    for file, text in written().items():
        (FOLDER / file).write_text(text)
