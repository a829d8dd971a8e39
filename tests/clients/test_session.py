"""Questions and answers through a real gateway."""

import asyncio
import io
from pathlib import Path
from typing import Any

import pytest

from lookback_client import AnswerFailed, Busy, Lookback, LookbackError, NoFramesYet, SessionLost
from messages.questions import Ask, Cancel
from tests.clients.conftest import picture, shown
from tests.server.clients import eventually
from tests.server.peer import snapshot


async def test_an_answer_is_awaited_or_iterated_over(lookback: Lookback) -> None:
    async with lookback.session() as session:
        await shown(session)
        answer = await session.ask("Where is my cup?")
        pieces = [piece async for piece in session.ask("what is it")]
    assert pieces == ["what ", "is ", "it "]
    assert (answer.text, str(answer), answer.status) == ("Where is my cup?",) * 2 + ("completed",)
    assert answer.span == (0.0, 7.5) and answer.newest_frame_age == 0.25
    assert (answer.turns_kept, answer.turns_forgotten, answer.queue_position) == (4, 2, 0)
    assert answer.usage["output_tokens"] == 4 and answer.ttft_seconds and answer.done


async def test_leaving_the_loop_early_cancels(lookback: Lookback, worker: Any) -> None:
    async with lookback.session() as session:
        await shown(session)
        async for piece in session.ask("slowly now"):
            assert piece == "and "
            break
        await eventually(lambda: worker.of(Cancel, session.id))
        answer = await session.ask("go on")
    assert answer.text == "go on"


async def test_giving_up_waiting_cancels(lookback: Lookback, worker: Any) -> None:
    async with lookback.session() as session:
        await shown(session)
        answer = session.ask("slowly now")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await answer
        await eventually(lambda: answer.done)
    assert answer.status == "cancelled" and answer.text


async def test_a_question_that_waits_is_withdrawn(lookback: Lookback, worker: Any) -> None:
    async with lookback.session() as session:
        await shown(session)
        first, second = session.ask("slowly now"), session.ask("never mind")
        await eventually(lambda: second.id)
        assert second.queue_position == 1
        second.cancel()
        assert (await second).status == "cancelled"
        unsent = session.ask("not even sent")
        unsent.cancel()
        assert (await unsent).status == "cancelled"
        first.cancel()
        assert (await first).status == "cancelled"
    assert "not even sent" not in [ask.text for ask in worker.of(Ask, session.id)]


async def test_several_questions_are_answered_each_to_its_own(lookback: Lookback) -> None:
    async with lookback.session() as session, lookback.join(session.id) as other:
        await shown(session)
        asked = [(session, other)[number % 2].ask(f"question {number}") for number in range(6)]
        answers = await asyncio.gather(*asked)
    assert [answer.text for answer in answers] == [f"question {number}" for number in range(6)]


async def test_what_goes_wrong_is_told_by_its_type(lookback: Lookback, worker: Any) -> None:
    async with lookback.session() as session:
        with pytest.raises(NoFramesYet, match="start the camera") as unseen:
            await session.ask("what?")
        assert unseen.value.code == "no_frames_yet"
        await shown(session)
        with pytest.raises(AnswerFailed, match=r"It broke\."):
            await session.ask("fail please")
        with pytest.raises(LookbackError, match="empty") as empty:
            async for _ in session.ask("  "):
                pass
        assert empty.value.code == "empty_question"
        pending = session.ask("slowly now")
        await eventually(lambda: pending.text)
    with pytest.raises(LookbackError, match="left"):
        await pending


async def test_a_question_waits_for_the_first_picture_of_its_own_camera(
    lookback: Lookback,
) -> None:
    async def late() -> Any:
        await asyncio.sleep(0.5)
        yield picture(0)
        await asyncio.sleep(60)

    async with lookback.session() as session:
        await session.publish(late())
        assert (await session.ask("what is it")).text == "what is it"


async def test_options_and_pictures_go_with_the_question(lookback: Lookback, worker: Any) -> None:
    async with lookback.session(instructions="Be terse.", budget_tokens=90) as session:
        assert session.info is not None
        assert (session.info["instructions"], session.info["budget_tokens"]) == ("Be terse.", 90)
        await session.ask(
            "what is it?", pictures=[picture(1)], max_tokens=7, temperature=0.5, seed=3, stop=["x"]
        )
        [ask] = worker.of(Ask, session.id)
        state = await session.state()
    assert (ask.max_tokens, ask.temperature, ask.seed, ask.stop) == (7, 0.5, 3, ("x",))
    assert state["memory"]["frames_seen"] == 1


async def test_a_session_ends_with_its_block_unless_it_is_kept(lookback: Lookback) -> None:
    async with lookback.session() as ended:
        pass
    with pytest.raises(SessionLost, match="memory of what it saw is lost") as lost:
        async with lookback.join(ended.id):
            pass
    assert lost.value.reason == "unknown_session"
    async with lookback.session(keep=True) as kept:
        await shown(kept)
    async with lookback.join(kept.id) as joined:
        await eventually(lambda: joined.memory and joined.memory["frames_seen"] == 1)
        assert joined.camera is not None and joined.camera["state"] == "gone"
        assert (await joined.ask("still there")).text == "still there"
        await kept.delete()
        with pytest.raises(SessionLost):
            async with asyncio.timeout(10):
                async for _ in joined.events():
                    pass
        with pytest.raises(SessionLost):
            await joined.ask("and now?")


async def test_the_curious_hear_everything(lookback: Lookback) -> None:
    heard: set[str] = set()

    async def listen(session: Any) -> None:
        async for event in session.events():
            heard.add(event["type"])

    async with lookback.session() as session:
        listening = asyncio.create_task(listen(session))
        await shown(session)
        await session.ask("hello")
        await eventually(lambda: "response.done" in heard)
    await asyncio.wait_for(listening, 10)
    assert {"lookback.memory.updated", "lookback.camera.updated"} <= heard


async def test_a_session_is_taken_along_as_a_file(
    lookback: Lookback, worker: Any, tmp_path: Path
) -> None:
    file = tmp_path / "memory.lbmem"
    worker.exporting = snapshot(size=3_000_000)
    async with lookback.session() as session:
        assert await session.export(file, "entropy") == len(worker.exporting)
        buffer = io.BytesIO()
        await session.export(buffer)
        assert buffer.getvalue() == worker.exporting
        worker.exporting = "it is busy"
        with pytest.raises(Busy, match="it is busy"):
            await session.export(tmp_path / "another")
    # Where all is full the file is sent again, for the place that its ticket keeps.
    worker.taking = False
    restored = lookback.import_session(file)
    entering = asyncio.create_task(restored.__aenter__())
    await asyncio.sleep(1.5)
    worker.taking = True
    await asyncio.wait_for(entering, 20)
    assert worker.imported == [file.read_bytes()]
    assert restored.info and restored.info["budget_tokens"] == 144
    await restored.__aexit__(None, None, None)
    file.write_bytes(b"no snapshot")
    with pytest.raises(LookbackError, match="no snapshot") as refused:
        await lookback.import_session(file).reserve()
    assert (refused.value.code, refused.value.status) == ("invalid_snapshot", 422)
    with pytest.raises(FileNotFoundError):
        await lookback.import_session(tmp_path / "another").reserve()
