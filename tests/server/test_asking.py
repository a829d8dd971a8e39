"""Questions on the websocket, of one asker and of several, with a camera and without."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx

from messages.answers import AnswerDone
from messages.questions import Ask, Cancel
from tests.server.clients import Client, eventually, new_session, sending, talking
from tests.server.peer import PeerWorker


async def test_an_answer_is_told_in_the_order_of_the_realtime_api(
    asker: Client, worker: PeerWorker
) -> None:
    await asker.ask("what did you see?", max_output_tokens=40, temperature=0.5, seed=3)
    done = await asker.until("response.done")
    [created] = [e for e in asker.events if e["type"] == "session.created"]
    assert created["session"]["id"] == asker.session
    told = [e for e in asker.events if not e["type"].startswith("lookback.")]
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
    ids = [e["event_id"] for e in asker.events]
    assert ids == sorted(set(ids))
    [ask] = worker.of(Ask, asker.session)
    assert (ask.max_tokens, ask.temperature, ask.seed) == (40, 0.5, 3)


async def test_wishes_for_an_answer_reach_the_worker_and_come_back(
    asker: Client, worker: PeerWorker
) -> None:
    await asker.ask("what?", stop=["\n", "x" * 64], metadata={"tab": "2"})
    response = (await asker.until("response.done"))["response"]
    assert response["metadata"] == {"tab": "2"}
    lookback = response["lookback"]
    assert (lookback["turns_kept"], lookback["turns_forgotten"]) == (4, 2)
    [ask] = worker.of(Ask, asker.session)
    assert ask.stop == ("\n", "x" * 64)


async def test_a_question_before_the_first_frame(gateway: str, worker: PeerWorker) -> None:
    session = new_session(gateway)
    async with talking(gateway, session) as client:
        await client.ask("what is it?")
        error = await client.error()
        assert (error["code"], error["event_id"]) == ("no_frames_yet", "r")
        assert "start the camera" in error["message"]
        assert not worker.of(Ask, session)
        async with sending(gateway, session):
            await client.until("lookback.memory.updated")
            await client.ask("and now?")
            await client.until("response.done")
    assert [ask.text for ask in worker.of(Ask, session)] == ["and now?"]


async def test_a_question_before_the_first_frame_says_what_the_camera_does(
    serve: Callable[..., str], worker: PeerWorker
) -> None:
    url = serve(connect_seconds=2)
    session = new_session(url)
    async with talking(url, session) as client:
        async with sending(url, session) as track:
            track.going.clear()
            await client.ask("is it there?")
            assert "still connecting" in (await client.error())["message"]
        await client.until("lookback.camera.updated", lambda e: e["camera"]["state"] == "gone")
        await client.ask("is it gone?")
        assert "has ended" in (await client.error())["message"]


async def test_a_question_on_the_heels_of_the_first_frame_waits_for_it(
    gateway: str, worker: PeerWorker
) -> None:
    session = new_session(gateway)
    worker.watching = False
    async with talking(gateway, session) as client, sending(gateway, session):
        await client.until("lookback.camera.updated", lambda e: e["camera"]["frames_sent"] > 0)
        await client.ask("what is it?")
        await client.until("response.created")
        await asyncio.sleep(0.3)
        assert not worker.of(Ask, session)
        worker.watching = True
        done = await client.until("response.done")
    assert done["response"]["status"] == "completed"


async def test_a_first_frame_that_never_arrives_is_told(
    serve: Callable[..., str], worker: PeerWorker
) -> None:
    url = serve(first_frame_seconds=0.5)
    session = new_session(url)
    worker.watching = False
    async with talking(url, session) as client, sending(url, session):
        await client.until("lookback.camera.updated", lambda e: e["camera"]["frames_sent"] > 0)
        await client.ask("what is it?")
        failed = (await client.until("response.done"))["response"]
    assert failed["status"] == "failed"
    assert "have not reached the model" in failed["status_details"]["message"]


async def test_a_question_after_the_cameras_end_is_answered_from_memory(gateway: str) -> None:
    session = new_session(gateway)
    async with talking(gateway, session) as client:
        async with sending(gateway, session):
            await client.until("lookback.memory.updated")
        await client.until("lookback.camera.updated", lambda e: e["camera"]["state"] == "gone")
        await client.ask("what was it?")
        done = await client.until("response.done")
    assert done["response"]["status"] == "completed"


async def test_a_cancel_reaches_the_answer_in_progress(asker: Client, worker: PeerWorker) -> None:
    await asker.ask("slowly now")
    created = await asker.until("response.created")
    await asker.until("response.output_text.delta")
    await asker.send({"type": "response.cancel"})
    done = await asker.until("response.done")
    assert done["response"]["id"] == created["response"]["id"]
    assert done["response"]["status"] == "cancelled"
    [cancel] = worker.of(Cancel, asker.session)
    assert cancel.response == created["response"]["id"]
    await asker.ask("next")
    done = await asker.until("response.done")
    assert done["response"]["status"] == "completed"


async def test_questions_wait_their_turn_and_too_many_are_refused(
    asker: Client, worker: PeerWorker
) -> None:
    await asker.ask("slowly now")
    first = (await asker.until("response.created"))["response"]["id"]
    waiting = []
    for number in range(8):
        await asker.ask(f"question {number}")
        created = (await asker.until("response.created"))["response"]
        assert created["lookback"]["queue_position"] == number + 1
        waiting.append(created["id"])
    await asker.ask("one too many")
    refused = await asker.error()
    assert refused["code"] == "too_many_questions"
    assert refused["lookback"] == {"queue_position": 9, "retry_after_seconds": 2.0}
    asked = await eventually(
        lambda: worker.of(Ask, asker.session)[8:] and worker.of(Ask, asker.session)
    )
    assert [ask.text for ask in asked] == ["slowly now", *(f"question {n}" for n in range(8))]
    await asker.send({"type": "response.cancel", "response_id": waiting.pop(2)})
    await asker.until("response.done", lambda e: e["response"]["status"] == "cancelled")
    await asker.send({"type": "response.cancel", "response_id": first})
    ended = [(await asker.until("response.done"))["response"]["id"] for _ in range(8)]
    assert ended == [first, *waiting]


async def test_a_failed_answer_is_an_event_and_the_next_one_works(asker: Client) -> None:
    await asker.ask("please fail")
    failed = (await asker.until("response.done"))["response"]
    assert (failed["status"], failed["output"]) == ("failed", [])
    assert failed["status_details"]["error"]["message"] == "It broke."
    await asker.ask("please work")
    assert (await asker.until("response.done"))["response"]["status"] == "completed"


async def test_what_the_worker_says_of_other_responses_is_ignored(
    asker: Client, worker: PeerWorker
) -> None:
    worker.say(AnswerDone(asker.session, "resp_of_nobody", "completed", "nonsense"))
    await asker.ask("hello")
    done = (await asker.until("response.done"))["response"]
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
    gateway: str, asker: Client, worker: PeerWorker
) -> None:
    session = asker.session
    async with talking(gateway, session) as other, talking(gateway, session) as listener:
        began = await listener.until("session.created")
        await asyncio.gather(asker.ask("the first one's?"), other.ask("the other one's?"))
        for client in (asker, other, listener):
            for _ in range(2):
                await client.until("response.done")
        async with talking(gateway, session, after=began["event_id"]) as late:
            for _ in range(2):
                await late.until("response.done")
    asked = [ask.text for ask in worker.of(Ask, session)]
    assert set(asked) == {"the first one's?", "the other one's?"}
    for client in (asker, other, listener, late):
        assert _answers(client.events) == [(text, "completed", text) for text in asked]
    created = [e for e in listener.events if e["type"] == "response.created"]
    assert [e["response"]["lookback"]["question"] for e in created] == asked


async def test_the_second_question_is_cancelled_while_the_first_is_written(
    gateway: str, asker: Client, worker: PeerWorker
) -> None:
    await asker.ask("slowly now")
    first = (await asker.until("response.created"))["response"]["id"]
    await asker.until("response.output_text.delta")
    async with talking(gateway, asker.session) as other:
        await other.ask("never mind")
        created = await other.until("response.created", lambda e: e["response"]["id"] != first)
        second = created["response"]["id"]
        await eventually(lambda: len(worker.of(Ask, asker.session)) == 2)
        await other.send({"type": "response.cancel", "response_id": second})
        ended = (await other.until("response.done"))["response"]
        assert (ended["id"], ended["status"], ended["output"]) == (second, "cancelled", [])
        await other.until("response.output_text.delta", lambda e: e["response_id"] == first)
        await asker.send({"type": "response.cancel"})
        await asker.until("response.done", lambda e: e["response"]["id"] == first)
    done = [e["response"]["id"] for e in asker.events if e["type"] == "response.done"]
    assert done == [second, first]


async def test_an_asker_that_goes_is_answered_all_the_same(gateway: str, asker: Client) -> None:
    def websockets() -> int:
        count: int = httpx.get(f"{gateway}/v1/sessions/{asker.session}").json()["websockets"]
        return count

    async with talking(gateway, asker.session) as listener:
        await asker.ask("slowly now")
        await asker.ask("and then?")
        for _ in range(2):
            await asker.until("response.created")
        asker.websocket.transport.abort()
        await eventually(lambda: websockets() == 1)
        await listener.until("response.output_text.delta")
        await listener.send({"type": "response.cancel"})
        await listener.until("response.done", lambda e: e["response"]["status"] == "completed")
    answers = [(question, status) for question, status, _ in _answers(listener.events)]
    assert answers == [("slowly now", "cancelled"), ("and then?", "completed")]
