"""Chat completions and models through OpenAI's own client, over a real gateway."""

import asyncio
import gc
from typing import Any

import httpx
import openai
import pytest
from openai import BadRequestError, NotFoundError

from messages.questions import Ask, Cancel
from server.completion import Completion
from tests.server.chat_client import PATH, client_of, user
from tests.server.clients import data_url


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
        {"type": "image_url", "image_url": {"url": data_url()}},
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
        {"type": "image_url", "image_url": {"url": data_url()}},
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
