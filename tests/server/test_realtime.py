"""The websocket speaks the Realtime API's events and survives whatever is sent to it."""

import asyncio
import base64
import json
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from broker.connection import connect as connect_broker
from messages import keys
from messages.answers import AnswerDone
from messages.codec import decode_to_gateway
from messages.memory import DescribeMemory
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
    (_item("x", content=[{"type": "input_audio", "audio": "x"}]), "invalid_event"),
    (_item(" \n\t "), "empty_question"),
    (_item("x" * 10_000), "question_too_long"),
    (_item("x" * 70_000), "message_too_large"),
    ({"type": "response.create", "response": {"temperature": "hot"}}, "invalid_event"),
    ({"type": "response.create", "response": {"temperature": -1}}, "invalid_event"),
    ({"type": "response.create", "response": {"max_output_tokens": 0}}, "invalid_event"),
    ('{"type": "response.create", "response": {"temperature": 1e999}}', "invalid_json"),
    ({"type": "response.create", "response": {"stop": "END"}}, "invalid_event"),
    ({"type": "response.create", "response": {"stop": [""]}}, "invalid_event"),
    ({"type": "response.create", "response": {"stop": ["x" * 65]}}, "invalid_event"),
    ({"type": "response.create", "response": {"stop": list("abcde")}}, "invalid_event"),
    ({"type": "response.create", "response": {"metadata": {"tab": 2}}}, "invalid_event"),
    ({"type": "session.update", "session": {"instructions": "Be brief."}}, "session_fixed"),
    ({"type": "session.update"}, "invalid_event"),
    ({"type": "session.update", "session": {"output_modalities": ["audio"]}}, "invalid_event"),
    ({"type": "session.update", "session": {"tools": [{"type": "function"}]}}, "invalid_event"),
    ({"type": "response.create", "response": {"instructions": "Be brief."}}, "session_fixed"),
    ({"type": "response.create", "response": {"conversation": "none"}}, "invalid_event"),
    ({"type": "response.create", "response": {"input": [{}]}}, "invalid_event"),
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
        assert "start the camera" in error["message"]
        assert not worker.of(Ask, session)
        async with tools.sending(gateway, session):
            await client.until("lookback.memory.updated")
            await client.ask("and now?")
            await client.until("response.done")
    assert [ask.text for ask in worker.of(Ask, session)] == ["and now?"]


async def test_a_question_before_the_first_frame_says_what_the_camera_does(
    gateway: str, tools: Any
) -> None:
    session = tools.new_session(gateway)
    async with tools.talking(gateway, session) as client:
        async with tools.sending(gateway, session) as track:
            track.going.clear()
            await client.ask("is it there?")
            assert "still connecting" in (await client.error())["message"]
        await client.until("lookback.camera.updated", lambda e: e["camera"]["state"] == "gone")
        await client.ask("is it gone?")
        assert "has ended" in (await client.error())["message"]


async def test_a_question_on_the_heels_of_the_first_frame_waits_for_it(
    gateway: str, worker: Any, tools: Any
) -> None:
    session = tools.new_session(gateway)
    worker.watching = False
    async with tools.talking(gateway, session) as client, tools.sending(gateway, session):
        await client.until("lookback.camera.updated", lambda e: e["camera"]["frames_sent"] > 0)
        await client.ask("what is it?")
        await client.until("response.created")
        await asyncio.sleep(0.3)
        assert not worker.of(Ask, session)
        worker.watching = True
        done = await client.until("response.done")
    assert done["response"]["status"] == "completed"


async def test_a_first_frame_that_never_arrives_is_told(
    serve: Callable[..., str], worker: Any, tools: Any
) -> None:
    url = serve(first_frame_seconds=0.5)
    session = tools.new_session(url)
    worker.watching = False
    async with tools.talking(url, session) as client, tools.sending(url, session):
        await client.until("lookback.camera.updated", lambda e: e["camera"]["frames_sent"] > 0)
        await client.ask("what is it?")
        failed = (await client.until("response.done"))["response"]
    assert failed["status"] == "failed"
    assert "have not reached the model" in failed["status_details"]["message"]


async def test_a_question_after_the_cameras_end_is_answered_from_memory(
    gateway: str, tools: Any
) -> None:
    session = tools.new_session(gateway)
    async with tools.talking(gateway, session) as client:
        async with tools.sending(gateway, session):
            await client.until("lookback.memory.updated")
        await client.until("lookback.camera.updated", lambda e: e["camera"]["state"] == "gone")
        await client.ask("what was it?")
        done = await client.until("response.done")
    assert done["response"]["status"] == "completed"


async def test_wishes_for_an_answer_reach_the_worker_and_come_back(
    gateway: str, worker: Any, tools: Any
) -> None:
    session = tools.new_session(gateway)
    async with tools.talking(gateway, session) as client, tools.sending(gateway, session):
        await client.until("lookback.memory.updated")
        await client.ask("what?", stop=["\n", "x" * 64], metadata={"tab": "2"})
        response = (await client.until("response.done"))["response"]
    assert response["metadata"] == {"tab": "2"}
    lookback = response["lookback"]
    assert (lookback["turns_kept"], lookback["turns_forgotten"]) == (4, 2)
    [ask] = worker.of(Ask, session)
    assert ask.stop == ("\n", "x" * 64)


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


def _answers(events: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    """Question, status and text of each answer, put together from its events alone."""
    pieces: dict[str, str] = {}
    answers = []
    for event in events:
        if event["type"] == "response.output_text.delta":
            written = pieces.get(event["response_id"], "")
            pieces[event["response_id"]] = written + event["delta"]
        elif event["type"] == "response.done":
            response = event["response"]
            question, text = response["lookback"]["question"], pieces.get(response["id"], "")
            answers.append((question, response["status"], text.strip()))
    return answers


async def test_two_ask_at_once_and_everybody_hears_both_in_order(
    gateway: str, worker: Any, tools: Any
) -> None:
    session = tools.new_session(gateway)
    async with (
        tools.talking(gateway, session) as one,
        tools.talking(gateway, session) as other,
        tools.talking(gateway, session) as listener,
        tools.sending(gateway, session),
    ):
        began = await listener.until("session.created")
        await one.until("lookback.memory.updated")
        await asyncio.gather(one.ask("the first one's?"), other.ask("the other one's?"))
        for client in (one, other, listener):
            for _ in range(2):
                await client.until("response.done")
        async with tools.talking(gateway, session, after=began["event_id"]) as late:
            for _ in range(2):
                await late.until("response.done")
    asked = [ask.text for ask in worker.of(Ask, session)]
    assert set(asked) == {"the first one's?", "the other one's?"}
    for client in (one, other, listener, late):
        assert _answers(client.events) == [(text, "completed", text) for text in asked]
    created = [e for e in listener.events if e["type"] == "response.created"]
    assert [e["response"]["lookback"]["question"] for e in created] == asked


async def test_the_second_question_is_cancelled_while_the_first_is_written(
    gateway: str, worker: Any, tools: Any
) -> None:
    session = tools.new_session(gateway)
    async with (
        tools.talking(gateway, session) as one,
        tools.talking(gateway, session) as other,
        tools.sending(gateway, session),
    ):
        await one.until("lookback.memory.updated")
        await one.ask("slowly now")
        first = (await one.until("response.created"))["response"]["id"]
        await one.until("response.output_text.delta")
        await other.ask("never mind")
        second = (await other.until("response.created", lambda e: e["response"]["id"] != first))[
            "response"
        ]["id"]
        await tools.eventually(lambda: len(worker.of(Ask, session)) == 2)
        await other.send({"type": "response.cancel", "response_id": second})
        ended = (await other.until("response.done"))["response"]
        assert (ended["id"], ended["status"], ended["output"]) == (second, "cancelled", [])
        await other.until("response.output_text.delta", lambda e: e["response_id"] == first)
        await one.send({"type": "response.cancel"})
        await one.until("response.done", lambda e: e["response"]["id"] == first)
    done = [e["response"]["id"] for e in one.events if e["type"] == "response.done"]
    assert done == [second, first]


def _websockets(url: str, session: str) -> int:
    count: int = httpx.get(f"{url}/v1/sessions/{session}").json()["websockets"]
    return count


async def test_an_asker_that_goes_is_answered_all_the_same(
    gateway: str, worker: Any, tools: Any
) -> None:
    session = tools.new_session(gateway)
    async with tools.talking(gateway, session) as listener, tools.sending(gateway, session):
        await listener.until("lookback.memory.updated")
        async with tools.talking(gateway, session) as asker:
            await asker.ask("slowly now")
            await asker.ask("and then?")
            for _ in range(2):
                await asker.until("response.created")
            asker.websocket.transport.abort()
        await tools.eventually(lambda: _websockets(gateway, session) == 1)
        await listener.until("response.output_text.delta")
        await listener.send({"type": "response.cancel"})
        await listener.until("response.done", lambda e: e["response"]["status"] == "completed")
    answers = [(question, status) for question, status, _ in _answers(listener.events)]
    assert answers == [("slowly now", "cancelled"), ("and then?", "completed")]


async def test_a_memory_is_described_to_everybody_once_a_second_at_most(
    gateway: str, worker: Any, tools: Any
) -> None:
    session = tools.new_session(gateway)
    async with (
        tools.talking(gateway, session) as one,
        tools.talking(gateway, session) as other,
        tools.sending(gateway, session),
    ):
        await one.until("lookback.memory.updated")
        for client in (one, other) * 10:
            await client.send({"type": "lookback.memory.describe"})
        began = time.monotonic()
        told = await one.until("lookback.memory.described")
        assert (await other.until("lookback.memory.described")) == told
        for client in (one, other) * 10:
            await client.send({"type": "lookback.memory.describe"})
        await one.until("lookback.memory.described")
        assert time.monotonic() - began > 0.9
    description = told["description"]
    count = len(description["frames"])
    assert base64.b64decode(description["shares"]) == bytes(range(9)) * count
    assert (description["patches"], description["rows"], description["columns"]) == (9, 3, 3)
    assert description["tokens"] == 9 * count > 0
    assert description["next_compaction_positions"] is None
    assert len(worker.of(DescribeMemory, session)) <= 3


async def test_a_description_leaves_nothing_on_the_broker(
    gateway: str, worker: Any, broker_url: str, tools: Any
) -> None:
    session = tools.new_session(gateway)
    broker = connect_broker(broker_url)
    async with tools.talking(gateway, session) as client:
        await client.send({"type": "lookback.memory.describe"})
        told = await client.until("lookback.memory.described")
        assert (told["description"]["frames"], told["description"]["span"]) == ([], None)

        def kept() -> list[str]:
            entries = broker.xrange(keys.events(session))
            return [
                decode_to_gateway(fields[keys.FIELD]).__class__.__name__ for _, fields in entries
            ]

        await tools.eventually(lambda: kept() == ["SessionOpened"])
    broker.close()


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
