"""Chat completions that cannot be answered are refused as OpenAI's client expects."""

import json
from typing import Any

import httpx
import openai
import pytest
from openai import BadRequestError, RateLimitError

from tests.server.chat_client import PATH, client_of, user


async def test_an_answer_that_fails_is_an_error(gateway: str, seen: str) -> None:
    async with client_of(gateway) as client:
        with pytest.raises(openai.InternalServerError, match="It broke") as failed:
            await client.chat.completions.create(model=seen, messages=user("fail"))
        assert failed.value.status_code == 503 and failed.value.code == "answer_failed"
        with pytest.raises(openai.APIError, match="It broke"):
            async for _ in await client.chat.completions.create(
                model=seen, messages=user("fail"), stream=True
            ):
                pass


async def test_too_many_questions_are_told_to_come_back(
    serve: Any, worker: Any, tools: Any
) -> None:
    gateway = serve(queued_questions=0)
    session = tools.new_session(gateway)
    async with tools.sending(gateway, session), client_of(gateway) as client:
        await tools.eventually(lambda: any(f.session == session for f in worker.frames))
        slow = await client.chat.completions.create(
            model=session, messages=user("slowly, please"), stream=True
        )
        with pytest.raises(RateLimitError) as refused:
            await client.chat.completions.create(model=session, messages=user("me too"))
        assert refused.value.code == "too_many_questions"
        assert int(refused.value.response.headers["retry-after"]) >= 1
        assert refused.value.response.json()["error"]["lookback"]["queue_position"] == 1
        await slow.close()


@pytest.mark.parametrize(
    ("wanted", "code", "param"),
    [
        ({"messages": []}, "invalid_request", "messages"),
        ({"messages": user(" ")}, "empty_question", "item.content"),
        ({"messages": user("x" * 5000)}, "question_too_long", "item.content"),
        ({"messages": [{"role": "assistant", "content": "hi"}]}, "no_question", "messages"),
        (
            {"messages": [{"role": "system", "content": "Shout."}, *user("hi")]},
            "session_fixed",
            "messages",
        ),
        ({"n": 2}, "invalid_request", "n"),
        ({"max_tokens": 0}, "invalid_request", "max_tokens"),
        ({"temperature": 3}, "invalid_request", "temperature"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "invalid_request", "tools"),
        ({"logprobs": True}, "invalid_request", "logprobs"),
        ({"response_format": {"type": "json_object"}}, "invalid_request", "response_format.type"),
        ({"stop": ["a", "b", "c", "d", "e"]}, "invalid_request", None),
    ],
)
async def test_what_cannot_be_answered_is_refused(
    gateway: str, seen: str, wanted: dict[str, Any], code: str, param: str | None
) -> None:
    async with client_of(gateway) as client:
        with pytest.raises(BadRequestError) as refused:
            await client.chat.completions.create(
                **{"model": seen, "messages": user("hi"), **wanted}
            )
    assert refused.value.code == code, refused.value.message
    if param is not None:
        assert refused.value.param == param


async def test_a_body_that_is_no_json_is_a_bad_request(gateway: str) -> None:
    async with httpx.AsyncClient() as client:
        for body in (b"", b"{", b"[]", b'{"model": "\\ud800", "messages": []}', b"\xff"):
            reply = await client.post(
                f"{gateway}{PATH}", content=body, headers={"Content-Type": "application/json"}
            )
            assert reply.status_code == 400, reply.text
            assert set(reply.json()["error"]) == {"type", "code", "message", "param"}


async def test_half_a_character_is_refused_and_the_session_goes_on(gateway: str, seen: str) -> None:
    body = {"model": seen, "messages": user("half a pair: \ud83d")}
    headers = {"Content-Type": "application/json"}
    async with httpx.AsyncClient() as client:
        content = json.dumps(body).encode()
        reply = await client.post(f"{gateway}{PATH}", content=content, headers=headers)
        assert reply.status_code == 400 and reply.json()["error"]["param"] == "messages.0.content"
        reply = await client.post(f"{gateway}{PATH}", json=body | {"messages": user("a whole one")})
    assert reply.json()["choices"][0]["message"]["content"] == "a whole one"


async def test_before_the_first_picture_nothing_is_answered(gateway: str, tools: Any) -> None:
    session = tools.new_session(gateway)
    async with client_of(gateway) as client:
        with pytest.raises(BadRequestError) as refused:
            await client.chat.completions.create(model=session, messages=user("what is it?"))
    assert refused.value.code == "no_frames_yet"
