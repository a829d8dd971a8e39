"""Whatever text a client sends is an event or a ClientError, and nothing else."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.errors import ClientError
from server.events import (
    ClientEvent,
    ItemCreate,
    ResponseCreate,
    ResponseOptions,
    event_id_of,
    parse,
)

_KEYS = ("type", "item", "role", "content", "text", "response", "temperature", "event_id", "seed")
_TYPES = (
    "conversation.item.create",
    "response.create",
    "response.cancel",
    "session.update",
    "lookback.memory.describe",
    "message",
    "input_text",
)
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(_TYPES) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_KEYS), inner, max_size=5)
    ),
    max_leaves=12,
)


@given(st.text() | _VALUES.map(json.dumps))
def test_nothing_else_comes_out(text: str) -> None:
    try:
        event = parse(text)
    except ClientError as error:
        assert error.code and error.message
    else:
        assert isinstance(event, ClientEvent)
    event_id_of(text)


def test_what_a_client_of_the_realtime_api_sends_is_understood() -> None:
    content = [{"type": "input_text", "text": "hello"}]
    item = {"id": "mine", "type": "message", "role": "user", "status": "x", "content": content}
    event = parse(json.dumps({"type": "conversation.item.create", "item": item, "event_id": "e"}))
    assert isinstance(event, ItemCreate)
    assert (event.item.content[0].text, event.event_id) == ("hello", "e")
    event = parse('{"type": "response.create", "response": {"output_modalities": ["text"]}}')
    assert event == ResponseCreate(ResponseOptions(output_modalities=["text"]))
    event = parse(
        '{"type": "response.create", "response": {"stop": ["\\n"], "metadata": {"a": "b"}}}'
    )
    assert isinstance(event, ResponseCreate)
    assert event.response == ResponseOptions(stop=["\n"], metadata={"a": "b"})
    event = parse('{"type": "response.create", "response": {"max_output_tokens": "inf"}}')
    assert isinstance(event, ResponseCreate) and event.response.max_output_tokens == "inf"


@pytest.mark.parametrize(
    ("options", "param"),
    [
        ({"temperature": 3}, "response.temperature"),
        ({"top_p": 0}, "response.top_p"),
        ({"seed": -1}, "response.seed"),
        ({"max_output_tokens": 2.5}, "response.max_output_tokens"),
        ({"stop": "END"}, "response.stop"),
        ({"stop": ["a", "b", "c", "d", "e"]}, "response.stop"),
        ({"stop": [""]}, "response.stop[0]"),
        ({"stop": ["x" * 65]}, "response.stop[0]"),
    ],
)
def test_the_part_to_change_is_named(options: dict[str, object], param: str) -> None:
    with pytest.raises(ClientError) as error:
        parse(json.dumps({"type": "response.create", "response": options}))
    assert (error.value.code, error.value.param) == ("invalid_event", param)


def test_an_events_id_is_found_in_broken_events_too() -> None:
    assert event_id_of('{"type": "x", "event_id": "abc"}') == "abc"
    assert event_id_of('{"event_id": 5}') is None
    assert event_id_of("{") is None
    assert len(event_id_of(json.dumps({"event_id": "x" * 9999})) or "") == 512


@pytest.mark.parametrize(
    ("event", "advice"),
    [
        ({"type": "input_audio_buffer.commit"}, "ask in text"),
        ({"type": "conversation.item.delete", "item_id": "x"}, "cannot forget a single turn"),
        ({"type": "conversation.item.retrieve", "item_id": "x"}, "conversation.item.done"),
        ({"type": "conversation.item.truncate", "item_id": "x"}, "response.cancel"),
        ({"type": "response.create", "response": {"conversation": "none"}}, "the session's conv"),
        ({"type": "response.create", "response": {"input": [{}]}}, "conversation.item.create"),
        ({"type": "session.update", "session": {"audio": {}}}, "answers are text"),
        ({"type": "session.update", "session": {"tools": [{}]}}, "No tools"),
    ],
)
def test_what_the_realtime_api_has_and_a_camera_has_not_is_refused_with_advice(
    event: dict[str, Any], advice: str
) -> None:
    with pytest.raises(ClientError, match=advice):
        parse(json.dumps(event))
