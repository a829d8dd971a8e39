"""OpenAI's Realtime client on the websocket; every event has the type that it expects."""

import asyncio
import json
from typing import Any, Literal, get_args

import pytest
from openai import AsyncOpenAI, OpenAI
from openai.types.realtime import RealtimeServerEvent
from pydantic import BaseModel
from websockets.asyncio.client import connect

from tests.server.clients import Client

_EVENTS: dict[str, type[BaseModel]] = {
    get_args(kind.model_fields["type"].annotation)[0]: kind
    for kind in get_args(get_args(RealtimeServerEvent)[0])
}


def client_of(url: str) -> AsyncOpenAI:
    return AsyncOpenAI(base_url=f"{url}/v1", api_key="sk-none")


def question(text: str) -> Any:
    content = [{"type": "input_text", "text": text}]
    return {"type": "message", "role": "user", "content": content}


async def test_the_realtime_client_streams_an_answer(gateway: str, worker: Any, tools: Any) -> None:
    session = tools.new_session(gateway, instructions="Be brief.")
    async with (
        tools.sending(gateway, session),
        client_of(gateway) as client,
        client.realtime.connect(model=session) as connection,
    ):
        await connection.session.update(
            session={"type": "realtime", "output_modalities": ["text"], "max_output_tokens": 20}
        )
        text, told = "", []
        async for event in connection:
            told.append(event.type)
            if event.type == "session.created":
                assert event.session.type == "realtime" and event.session.model == "peer"
            elif event.type == "session.updated":
                assert event.session.type == "realtime"
                assert event.session.max_output_tokens == 20
                assert event.session.instructions == "Be brief."
            elif told[-1] == "lookback.memory.updated" and "response.created" not in told:
                if "conversation.item.added" not in told:
                    await connection.conversation.item.create(item=question("what is it?"))
                    await connection.response.create()
                    told.append("conversation.item.added")
            elif event.type == "response.output_text.delta":
                text += event.delta
            elif event.type == "response.done":
                break
    assert text == "what is it? "
    assert event.response.status == "completed" and event.response.usage is not None
    assert event.response.usage.output_tokens == 3
    item: Any = (event.response.output or [None])[0]
    assert item.role == "assistant" and item.content[0].text == "what is it?"
    assert {"session.updated", "response.created", "response.output_item.done"} <= set(told)


@pytest.mark.parametrize("how", ["completed", "cancelled", "failed"])
async def test_every_event_is_of_its_type(
    gateway: str, worker: Any, tools: Any, how: Literal["completed", "cancelled", "failed"]
) -> None:
    session = tools.new_session(gateway)
    async with (
        tools.sending(gateway, session),
        client_of(gateway) as client,
        client.realtime.connect(model=session) as connection,
    ):
        events: list[dict[str, Any]] = []

        async def until(kind: str) -> dict[str, Any]:
            while True:
                events.append(json.loads(await connection.recv_bytes()))
                if events[-1]["type"] == kind:
                    return events[-1]

        await until("lookback.memory.updated")
        said = {"completed": "hello", "cancelled": "slowly", "failed": "fail"}[how]
        await connection.conversation.item.create(item=question(said))
        await connection.response.create(
            response={"max_output_tokens": "inf", "metadata": {"a": "b"}}
        )
        if how == "cancelled":
            await until("response.output_text.delta")
            await connection.response.cancel()
        done = await until("response.done")
        assert done["response"]["status"] == how
        await connection.response.cancel(event_id="c")
        assert (await until("error"))["error"]["event_id"] == "c"
        await connection.session.update(session={"type": "realtime"})
        await until("session.updated")
    for event in events:
        if not event["type"].startswith("lookback."):
            _EVENTS[event["type"]].model_validate(event, strict=True)
            assert event["event_id"]
    known = {event["type"] for event in events} & set(_EVENTS)
    assert len(known) == {"completed": 13, "cancelled": 13, "failed": 7}[how], known


async def test_the_clients_that_wait_are_answered_too(gateway: str, asker: Client) -> None:
    def ask() -> list[str]:
        answers = []
        with OpenAI(base_url=f"{gateway}/v1", api_key="sk-none") as client:
            with client.realtime.connect(model=asker.session) as connection:
                connection.conversation.item.create(item=question("what is it?"))
                connection.response.create()
                answers.append("")
                for event in connection:
                    if event.type == "response.output_text.delta":
                        answers[0] += event.delta
                    elif event.type == "response.done":
                        break
            messages: Any = [{"role": "user", "content": "what is it?"}]
            chat = client.chat.completions
            whole = chat.create(model=asker.session, messages=messages)
            answers.append(whole.choices[0].message.content or "")
            pieces = chat.create(model=asker.session, messages=messages, stream=True)
            answers.append("".join(p.choices[0].delta.content or "" for p in pieces))
        return answers

    assert [text.strip() for text in await asyncio.to_thread(ask)] == ["what is it?"] * 3


async def test_a_model_that_is_no_session_is_told_as_an_error(gateway: str) -> None:
    async with (
        client_of(gateway) as client,
        client.realtime.connect(model="gpt-realtime") as connection,
    ):
        event = await connection.recv()
        assert event.type == "error" and event.error.code == "unknown_session"


async def test_browsers_offer_a_subprotocol_that_is_taken(gateway: str, tools: Any) -> None:
    session = tools.new_session(gateway)
    address = f"{gateway.replace('http', 'ws')}/v1/realtime?model={session}"
    offers: list[tuple[list[Any], str | None]] = [
        (["realtime", "openai-insecure-api-key.sk-none"], "realtime"),
        (["something"], None),
    ]
    for offered, taken in offers:
        async with connect(address, subprotocols=offered, proxy=None) as websocket:
            assert websocket.subprotocol == taken
            assert json.loads(await websocket.recv())["type"] == "session.created"
