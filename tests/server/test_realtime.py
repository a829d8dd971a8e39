"""The websocket speaks the Realtime API's events and survives whatever is sent to it."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from messages.answers import AnswerDone
from messages.questions import Ask, Cancel


async def test_an_answer_is_told_in_the_order_of_the_realtime_api(
    gateway: str, worker: Any, tools: Any
) -> None:
    session = tools.new_session(gateway)
    async with tools.talking(gateway, session) as client, tools.sending(gateway, session):
        created = await client.until("session.created")
        assert created["session"]["id"] == session
        await client.until("lookback.memory.updated")
        await client.ask("what did you see?", max_output_tokens=40, temperature=0.5, seed=3)
        done = await client.until("response.done")
    told = [e for e in client.events if not e["type"].startswith("lookback.")]
    kinds = [e["type"] for e in told if e["type"] != "response.output_text.delta"]
    assert kinds == [
        "session.created",
        "conversation.item.added",
        "conversation.item.done",
        "response.created",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.done",
    ]
    deltas = [e["delta"] for e in told if e["type"] == "response.output_text.delta"]
    assert "".join(deltas).strip() == "what did you see?"
    response = done["response"]
    assert response["status"] == "completed"
    assert response["usage"] == {"input_tokens": 11, "output_tokens": 4, "total_tokens": 15}
    assert response["lookback"]["span"] == [0.0, 7.5]
    assert response["lookback"]["newest_frame_age"] == 0.25
    assert response["lookback"]["ttft_seconds"] == 0.5
    assert response["output"][0]["content"] == [
        {"type": "output_text", "text": "what did you see?"}
    ]
    ids = [e["event_id"] for e in client.events]
    assert ids == sorted(set(ids))
    [ask] = worker.of(Ask, session)
    assert (ask.max_tokens, ask.temperature, ask.seed) == (40, 0.5, 3)


def _item(*texts: Any, **other: Any) -> dict[str, Any]:
    content = [{"type": "input_text", "text": text} for text in texts]
    item = {"type": "message", "role": "user", "content": content} | other
    return {"type": "conversation.item.create", "item": item}


_BAD_EVENTS: list[tuple[Any, str]] = [
    (bytes(range(256)), "binary_message"),
    (b"", "binary_message"),
    ("", "invalid_json"),
    ("no json", "invalid_json"),
    ("[" * 50_000, "invalid_json"),
    ('"\\ud800"', "invalid_json"),
    ("[1, 2]", "invalid_event"),
    ("{}", "invalid_event"),
    ({"type": 5}, "invalid_event"),
    ({"type": "session.destroy"}, "unknown_event_type"),
    ({"type": "conversation.item.create"}, "invalid_event"),
    (_item(), "invalid_event"),
    (_item(5), "invalid_event"),
    (_item("x", role="system"), "invalid_event"),
    (_item("x", content=[{"type": "input_image", "image_url": "x"}]), "invalid_event"),
    (_item(" \n\t "), "empty_question"),
    (_item("x" * 10_000), "question_too_long"),
    (_item("x" * 70_000), "message_too_large"),
    ({"type": "response.create", "response": {"temperature": "hot"}}, "invalid_event"),
    ({"type": "response.create", "response": {"temperature": -1}}, "invalid_event"),
    ({"type": "response.create", "response": {"max_output_tokens": 0}}, "invalid_event"),
    ('{"type": "response.create", "response": {"temperature": 1e999}}', "invalid_json"),
    ({"type": "response.create"}, "no_question"),
    ({"type": "response.cancel"}, "response_cancel_not_active"),
    ({"type": "response.cancel", "response_id": "resp_x"}, "response_cancel_not_active"),
]


async def test_bad_events_are_answered_and_the_connection_stays(gateway: str, tools: Any) -> None:
    session = tools.new_session(gateway)
    async with tools.talking(gateway, session) as client:
        for bad, code in _BAD_EVENTS:
            if isinstance(bad, dict):
                bad = {"event_id": "mine", **bad}
            await client.send(bad)
            error = await client.error()
            assert error["code"] == code, (str(bad)[:100], error)
            assert error["message"] and error["type"] == "invalid_request_error"
            assert error["event_id"] == ("mine" if isinstance(bad, dict) else None)
        async with tools.sending(gateway, session):
            await client.until("lookback.memory.updated")
            await client.ask("still there?")
            done = await client.until("response.done")
    assert done["response"]["status"] == "completed"


async def test_an_invalid_event_names_the_part_to_change(gateway: str, tools: Any) -> None:
    session = tools.new_session(gateway)
    async with tools.talking(gateway, session) as client:
        await client.send(_item(5))
        assert (await client.error())["param"] == "item.content[0].text"


async def test_a_question_before_the_first_frame(gateway: str, worker: Any, tools: Any) -> None:
    session = tools.new_session(gateway)
    async with tools.talking(gateway, session) as client:
        await client.ask("what is it?")
        error = await client.error()
        assert (error["code"], error["event_id"]) == ("no_frames_yet", "r")
        assert not worker.of(Ask, session)
        async with tools.sending(gateway, session):
            await client.until("lookback.memory.updated")
            await client.ask("and now?")
            await client.until("response.done")
    assert [ask.text for ask in worker.of(Ask, session)] == ["and now?"]


async def test_a_cancel_reaches_the_answer_in_progress(
    gateway: str, worker: Any, tools: Any
) -> None:
    session = tools.new_session(gateway)
    async with tools.talking(gateway, session) as client, tools.sending(gateway, session):
        await client.until("lookback.memory.updated")
        await client.ask("slowly now")
        created = await client.until("response.created")
        await client.until("response.output_text.delta")
        await client.send({"type": "response.cancel"})
        done = await client.until("response.done")
        assert done["response"]["id"] == created["response"]["id"]
        assert done["response"]["status"] == "cancelled"
        [cancel] = worker.of(Cancel, session)
        assert cancel.response == created["response"]["id"]
        await client.ask("next")
        done = await client.until("response.done")
    assert done["response"]["status"] == "completed"


async def test_questions_wait_their_turn_and_too_many_are_refused(
    gateway: str, worker: Any, tools: Any
) -> None:
    session = tools.new_session(gateway)
    async with tools.talking(gateway, session) as client, tools.sending(gateway, session):
        await client.until("lookback.memory.updated")
        await client.ask("slowly now")
        first = (await client.until("response.created"))["response"]["id"]
        waiting = []
        for number in range(8):
            await client.ask(f"question {number}")
            created = (await client.until("response.created"))["response"]
            assert created["lookback"]["queue_position"] == number + 1
            waiting.append(created["id"])
        await client.ask("one too many")
        assert (await client.error())["code"] == "too_many_questions"
        asked = await tools.eventually(
            lambda: worker.of(Ask, session)[8:] and worker.of(Ask, session)
        )
        assert [ask.text for ask in asked] == ["slowly now", *(f"question {n}" for n in range(8))]
        await client.send({"type": "response.cancel", "response_id": waiting.pop(2)})
        await client.until("response.done", lambda e: e["response"]["status"] == "cancelled")
        await client.send({"type": "response.cancel", "response_id": first})
        ended = [(await client.until("response.done"))["response"]["id"] for _ in range(8)]
    assert ended == [first, *waiting]


async def test_a_failed_answer_is_an_event_and_the_next_one_works(gateway: str, tools: Any) -> None:
    session = tools.new_session(gateway)
    async with tools.talking(gateway, session) as client, tools.sending(gateway, session):
        await client.until("lookback.memory.updated")
        await client.ask("please fail")
        failed = (await client.until("response.done"))["response"]
        assert (failed["status"], failed["output"]) == ("failed", [])
        assert failed["status_details"]["error"]["message"] == "It broke."
        await client.ask("please work")
        assert (await client.until("response.done"))["response"]["status"] == "completed"


async def test_what_the_worker_says_of_other_responses_is_ignored(
    gateway: str, worker: Any, tools: Any
) -> None:
    session = tools.new_session(gateway)
    async with tools.talking(gateway, session) as client, tools.sending(gateway, session):
        await client.until("lookback.memory.updated")
        worker.say(AnswerDone(session, "resp_of_nobody", "completed", "nonsense"))
        await client.ask("hello")
        done = (await client.until("response.done"))["response"]
    assert done["output"][0]["content"][0]["text"] == "hello"


async def test_two_websockets_hear_the_same_answer(gateway: str, tools: Any) -> None:
    session = tools.new_session(gateway)
    async with (
        tools.talking(gateway, session) as one,
        tools.talking(gateway, session) as other,
        tools.sending(gateway, session),
    ):
        await one.until("lookback.memory.updated")
        await one.ask("hello you")
        mine, theirs = await one.until("response.done"), await other.until("response.done")
    assert mine == theirs


async def test_a_returning_client_gets_what_it_missed(gateway: str, tools: Any) -> None:
    session = tools.new_session(gateway)
    async with tools.sending(gateway, session):
        async with tools.talking(gateway, session) as client:
            await client.until("lookback.memory.updated")
            await client.ask("slowly now")
            last = await client.until("response.created")
        async with tools.talking(gateway, session, after=last["event_id"]) as client:
            await client.until("response.output_item.added")
            await client.until("response.output_text.delta")
            await client.send({"type": "response.cancel"})
            done = await client.until("response.done")
    assert done["response"]["id"] == last["response"]["id"]


async def test_an_unknown_session_is_an_error_and_a_close_code(gateway: str, tools: Any) -> None:
    for address in ("none", "", "x" * 5000):
        async with tools.talking(gateway, address) as client:
            assert (await client.error())["code"] == "unknown_session"
            with pytest.raises(ConnectionClosed) as closed:
                await client.websocket.recv()
        assert closed.value.rcvd is not None and closed.value.rcvd.code == 4404


@pytest.mark.parametrize(
    ("origin", "welcome"),
    [(None, True), ("same", True), ("https://evil.example", False), ("null", False), ("//", False)],
)
async def test_pages_of_other_origins_are_refused(
    gateway: str, tools: Any, origin: str | None, welcome: bool
) -> None:
    session = tools.new_session(gateway)
    origin = gateway if origin == "same" else origin
    address = f"{gateway.replace('http', 'ws')}/v1/realtime?session={session}"
    if welcome:
        async with connect(address, origin=origin) as websocket:  # type: ignore[arg-type]
            assert json.loads(await websocket.recv())["type"] == "session.created"
        return
    with pytest.raises(InvalidStatus) as refused:
        await connect(address, origin=origin)  # type: ignore[arg-type]
    assert refused.value.response.status_code == 403
    assert json.loads(refused.value.response.body)["error"]["code"] == "foreign_origin"


async def test_an_allowed_origin_is_welcome(serve: Callable[..., str], tools: Any) -> None:
    url = serve(allowed_origins={"https://friend.example"})
    session = tools.new_session(url)
    address = f"{url.replace('http', 'ws')}/v1/realtime?session={session}"
    async with connect(address, origin="https://friend.example") as websocket:  # type: ignore[arg-type]
        assert json.loads(await websocket.recv())["type"] == "session.created"


async def test_a_client_that_never_reads_is_let_go(gateway: str, tools: Any) -> None:
    session = tools.new_session(gateway)
    async with tools.talking(gateway, session) as reader:
        address = f"{gateway.replace('http', 'ws')}/v1/realtime?session={session}"
        async with connect(address, max_queue=1) as sleeper:
            await reader.until("session.created")
            text = "x" * 3900
            for _ in range(2500):
                await sleeper.send(json.dumps({"type": text}))
                await asyncio.sleep(0)
            await reader.ask("anybody?")
            assert (await reader.error())["code"] == "no_frames_yet"
            sleeper.transport.abort()
