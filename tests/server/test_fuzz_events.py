"""Events for the realtime websocket, broken in every way: each is taken or refused in words."""

import json
from itertools import count
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from websockets.sync.client import connect

from server.errors import ClientError
from server.events import parse
from server.server_events import RealtimeEvent
from server.settings import GatewaySettings
from tests.server.clients import data_url
from tests.server.fuzzing import campaign, unharmed
from tests.server.mutations import trees

_ITEM = {
    "type": "message", "role": "user", "id": "item_1",
    "content": [
        {"type": "input_text", "text": "what is it?"},
        {"type": "input_image", "image_url": data_url(), "detail": "auto"},
    ],
}  # fmt: skip
_OPTIONS: dict[str, Any] = {
    "max_output_tokens": 20, "temperature": 0.5, "top_p": 0.9, "seed": 3, "stop": ["END", "\n"],
    "metadata": {"tab": "2"}, "output_modalities": ["text"], "conversation": "auto", "tools": [],
    "input": [], "instructions": "",
}  # fmt: skip
_VALID = [
    {"type": "conversation.item.create", "event_id": "a", "item": _ITEM},
    {"type": "response.create", "event_id": "b", "response": _OPTIONS},
    {"type": "response.cancel", "response_id": "resp_1"},
    {"type": "session.update", "session": {"type": "realtime", "max_output_tokens": "inf"}},
    {"type": "lookback.memory.describe"},
    {"type": "conversation.item.retrieve", "item_id": "item_1"},
    {"type": "conversation.item.delete", "item_id": "item_1"},
    {"type": "conversation.item.truncate", "item_id": "i", "content_index": 0, "audio_end_ms": 1},
    {"type": "input_audio_buffer.append", "audio": "AAAA"},
    {"type": "input_audio_buffer.commit"},
]
_KEYS = ("type", "event_id", "item", "response", "session", "audio", "prompt", "previous_item_id")
_NO_TEXT = b"\x81\x84\x00\x00\x00\x00\xff\xfe\xff\xfe"
_LONGEST = GatewaySettings().message_bytes


def _refused(said: str | bytes) -> str | None:
    """The code with which this is refused at sight."""
    if isinstance(said, bytes):
        return "binary_message"
    try:
        parse(said, _LONGEST)
    except ClientError as error:
        return error.code
    return None


def test_no_event_does_any_harm(gateway: str) -> None:
    numbers = count()
    codes = set()
    with unharmed(gateway) as session:
        address = f"{gateway.replace('http', 'ws')}/v1/realtime?session={session}"
        with connect(address, max_size=None, proxy=None, compression=None) as websocket:

            @campaign(250)
            @given(trees(_VALID, _KEYS) | st.text(max_size=50) | st.binary(max_size=50))
            def say(said: str | bytes) -> None:
                end = f"end-{next(numbers)}"
                cancel = {"type": "response.cancel", "response_id": "none", "event_id": end}
                websocket.send(said)
                websocket.send(json.dumps(cancel))
                errors = []
                while not errors or errors[-1]["event_id"] != end:
                    event = json.loads(websocket.recv(timeout=30))
                    msgspec.convert(event, RealtimeEvent)
                    if event["type"] == "error":
                        errors.append(event["error"])
                assert all(error["type"] == "invalid_request_error" for error in errors), errors
                code = _refused(said)
                codes.add(code)
                assert code is None or errors[0]["code"] == code, (said, errors)

            say()
    assert {None, "invalid_json", "invalid_event", "unknown_event_type"} <= codes


def test_what_is_no_websocket_message_ends_only_its_own_connection(gateway: str) -> None:
    with unharmed(gateway) as session:
        address = f"{gateway.replace('http', 'ws')}/v1/realtime?session={session}"

        @campaign(40)
        @given(st.binary(min_size=1, max_size=64))
        def say(frames: bytes) -> None:
            with connect(address, proxy=None, compression=None, close_timeout=0.01) as websocket:
                websocket.socket.sendall(frames + _NO_TEXT)

        say()
