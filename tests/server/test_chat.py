"""Chat completions and models through OpenAI's own client, over a real gateway."""

import asyncio
import base64
import gc
import io
import json
from typing import Any

import httpx
import numpy as np
import openai
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openai import AsyncOpenAI, BadRequestError, NotFoundError, RateLimitError
from openai.types.chat import ChatCompletionMessageParam
from PIL import Image

from messages.questions import Ask, Cancel
from server.chat import ChatRequest
from server.completion import Completion

PATH = "/v1/chat/completions"


def client_of(url: str) -> AsyncOpenAI:
    return AsyncOpenAI(base_url=f"{url}/v1", api_key="sk-none", max_retries=0)


def user(text: Any) -> list[ChatCompletionMessageParam]:
    return [{"role": "user", "content": text}]


def picture() -> str:
    buffer = io.BytesIO()
    Image.fromarray(np.full((48, 64, 3), 90, np.uint8)).save(buffer, "PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


async def test_an_answer_comes_whole(gateway: str, worker: Any, seen: str) -> None:
    async with client_of(gateway) as client:
        answer = await client.chat.completions.create(
            model=seen,
            messages=[
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "what was before?"},
                {"role": "assistant", "content": "a cup"},
                {"role": "user", "content": [{"type": "text", "text": "what is it?"}]},
            ],
            max_tokens=9,
            temperature=0.5,
            top_p=0.9,
            seed=4,
            stop="END",
            user="me",
        )
    [choice] = answer.choices
    assert (choice.message.role, choice.message.content) == ("assistant", "what is it?")
    assert (choice.finish_reason, answer.object, answer.model) == (
        "stop",
        "chat.completion",
        "peer",
    )
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (11, 3)
    lookback: Any = answer.model_extra["lookback"] if answer.model_extra else None
    assert lookback["span"] == [0.0, 7.5] and lookback["turns_kept"] == 4
    [ask] = worker.of(Ask, seen)
    assert (ask.text, ask.max_tokens, ask.temperature, ask.top_p, ask.seed, ask.stop) == (
        "what is it?", 9, 0.5, 0.9, 4, ("END",),
    )  # fmt: skip


async def test_an_answer_comes_in_pieces(gateway: str, seen: str) -> None:
    async with client_of(gateway) as client:
        stream = await client.chat.completions.create(
            model=seen,
            messages=user("one two three"),
            stream=True,
            max_completion_tokens=50,
            stream_options={"include_usage": True},
        )
        chunks = [chunk async for chunk in stream]
    *told, last = chunks
    assert [c.choices[0].delta.content for c in told] == ["", "one ", "two ", "three ", None]
    assert told[0].choices[0].delta.role == "assistant"
    assert [c.choices[0].finish_reason for c in told] == [None] * 4 + ["stop"]
    assert last.choices == [] and last.usage is not None and last.usage.total_tokens == 14
    assert all(c.usage is None for c in told) and len({c.id for c in chunks}) == 1
    first, final = (c.model_extra or {} for c in (told[0], told[-1]))
    assert first["lookback"]["span"] == [0.0, 7.5]
    assert final["lookback"]["ttft_seconds"] == 0.5 and final["lookback"]["status"] == "completed"


async def test_a_stream_is_lines_of_server_sent_events(gateway: str, seen: str) -> None:
    body = {"model": seen, "messages": user("a b"), "stream": True}
    async with httpx.AsyncClient() as client:
        reply = await client.post(f"{gateway}{PATH}", json=body)
    assert reply.headers["content-type"].startswith("text/event-stream")
    *pieces, done, end = reply.text.split("\n\n")
    assert (done, end) == ("data: [DONE]", "")
    assert all(piece.startswith('data: {"id":"chatcmpl-') for piece in pieces)
    assert "usage" not in reply.text and reply.text.count("lookback") == 2


async def test_the_sessions_websockets_hear_it_too(gateway: str, seen: str, tools: Any) -> None:
    async with tools.talking(gateway, seen) as listener, client_of(gateway) as client:
        answer = await client.chat.completions.create(model=seen, messages=user("and you?"))
        added = await listener.until("conversation.item.added")
        done = await listener.until("response.done")
    assert added["item"]["content"] == [{"type": "input_text", "text": "and you?"}]
    assert answer.id == done["response"]["id"].replace("resp_", "chatcmpl-")


async def test_a_picture_comes_with_the_question(gateway: str, worker: Any, tools: Any) -> None:
    session = tools.new_session(gateway)
    content = [
        {"type": "image_url", "image_url": {"url": picture()}},
        {"type": "text", "text": "what is this?"},
    ]
    async with client_of(gateway) as client:
        answer = await client.chat.completions.create(model=session, messages=user(content))
        content[0] = {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}
        with pytest.raises(BadRequestError, match="not fetched"):
            await client.chat.completions.create(model=session, messages=user(content))
    assert answer.choices[0].message.content == "what is this?"
    assert sum(f.session == session for f in worker.frames) == 1


@pytest.mark.parametrize("stream", [False, True])
async def test_who_goes_away_wants_no_answer(
    gateway: str, worker: Any, seen: str, tools: Any, stream: bool
) -> None:
    body = {"model": seen, "messages": user("slowly, please"), "stream": stream}
    async with httpx.AsyncClient() as client:
        asking = asyncio.create_task(client.post(f"{gateway}{PATH}", json=body, timeout=60))
        await tools.eventually(lambda: worker.of(Ask, seen))
        asking.cancel()
    await tools.eventually(lambda: worker.of(Cancel, seen), 5)
    async with client_of(gateway) as again:
        answer = await again.chat.completions.create(model=seen, messages=user("and now?"))
    assert answer.choices[0].message.content == "and now?"


async def test_a_stream_that_is_closed_midway_is_cancelled(
    gateway: str, worker: Any, seen: str, tools: Any
) -> None:
    async with client_of(gateway) as client:
        stream = await client.chat.completions.create(
            model=seen, messages=user("slowly, please"), stream=True
        )
        async for chunk in stream:
            if chunk.choices[0].delta.content == "and ":
                break
        await stream.close()
    await tools.eventually(lambda: worker.of(Cancel, seen), 5)


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


async def test_the_end_of_the_session_ends_the_answer(
    gateway: str, worker: Any, seen: str, tools: Any
) -> None:
    async with client_of(gateway) as client, httpx.AsyncClient() as http:
        asking = asyncio.create_task(
            client.chat.completions.create(model=seen, messages=user("slowly, please"))
        )
        await tools.eventually(lambda: worker.of(Ask, seen))
        await http.delete(f"{gateway}/v1/sessions/{seen}")
        with pytest.raises(openai.InternalServerError, match="closed"):
            await asking


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


async def test_models_are_those_loaded_and_sessions_are_not_listed(
    gateway: str, tools: Any
) -> None:
    session = tools.new_session(gateway)
    async with client_of(gateway) as client:
        assert [model.id async for model in client.models.list()] == ["peer"]
        assert (await client.models.retrieve("peer")).owned_by == "lookback"
        assert (await client.models.retrieve(session)).id == session
        for unknown, said in (("gpt-9", "There is no session"), ("peer", "POST /v1/sessions")):
            with pytest.raises(NotFoundError, match=said) as refused:
                await client.chat.completions.create(model=unknown, messages=user("hi"))
            assert (refused.value.code, refused.value.param) == ("model_not_found", "model")


async def test_a_session_outlives_its_last_answer_by_the_time_to_ask_again(
    serve: Any, worker: Any, tools: Any
) -> None:
    gateway = serve(orphan_seconds=0.2, idle_seconds=2.5)
    session = tools.new_session(gateway)
    content = [
        {"type": "image_url", "image_url": {"url": picture()}},
        {"type": "text", "text": "what is this?"},
    ]
    async with client_of(gateway) as client:
        await client.chat.completions.create(model=session, messages=user(content))
        await asyncio.sleep(1.2)
        await client.chat.completions.create(model=session, messages=user("still there?"))


async def test_a_stream_that_waits_says_so(
    gateway: str, worker: Any, seen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.completion._SIGN_OF_LIFE_SECONDS", 0.1)
    async with client_of(gateway) as client, httpx.AsyncClient(timeout=60) as http:
        slow = await client.chat.completions.create(
            model=seen, messages=user("slowly, please"), stream=True
        )
        body = {"model": seen, "messages": user("me too"), "stream": True}
        async with http.stream("POST", f"{gateway}{PATH}", json=body) as reply:
            lines = []
            async for line in reply.aiter_lines():
                lines.append(line)
                if line == ": waiting":
                    await slow.close()
    lines = [line for line in lines if line]
    assert lines[0] == ": waiting" and lines[-1] == "data: [DONE]"


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=8,
)


def test_no_body_does_any_harm(gateway: str, tools: Any) -> None:
    session = tools.new_session(gateway)
    names = [*ChatRequest.model_fields, "other"]
    good = {"model": session, "messages": user("hi")}

    @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.dictionaries(st.sampled_from(names), _JSON, max_size=4), st.booleans())
    def post(wanted: dict[str, Any], fill: bool) -> None:
        body = {**good, **wanted} if fill else wanted
        try:
            content = json.dumps(body).encode()
        except ValueError:
            return
        headers = {"Content-Type": "application/json"}
        reply = client.post(f"{gateway}{PATH}", content=content, headers=headers)
        assert 400 <= reply.status_code < 500, (body, reply.text)
        assert set(reply.json()["error"]) == {"type", "code", "message", "param"}

    with httpx.Client(timeout=60) as client:
        post()


async def test_thirty_askers_that_left_midway_leave_nothing(
    gateway: str, worker: Any, seen: str, tools: Any
) -> None:
    async def once() -> None:
        stream = await client.chat.completions.create(
            model=seen, messages=user("slowly, please"), stream=True
        )
        await anext(aiter(stream))
        await stream.close()

    def left() -> int:
        gc.collect()
        return sum(type(thing) is Completion for thing in gc.get_objects())

    async with client_of(gateway) as client:
        for _ in range(30):
            await once()
        await tools.eventually(lambda: left() == 0, 15)
        assert len(worker.of(Cancel, seen)) == 30
        async with httpx.AsyncClient() as http:
            state = (await http.get(f"{gateway}/v1/sessions/{seen}")).json()
    assert (state["websockets"], state["responses"]) == (0, {"running": None, "queued": 0})
