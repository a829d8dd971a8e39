"""Every response that was created ends once: cancelled, withdrawn, lost or failed."""

import asyncio
import contextlib
from time import monotonic

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from messages.answers import AnswerDelta
from messages.questions import Ask, Cancel
from server.errors import ClientError
from tests.server.both import Both, talking


async def test_questions_that_cannot_be_sent_have_failed_and_block_nothing() -> None:
    async with talking() as both:
        first = await both.ask("heard")
        both.reachable = False
        lost = [await both.ask("lost"), await both.ask("lost too")]
        assert both.ended() == [(response, "failed") for response in lost]
        assert "broker does not answer" in both.why()
        assert both.conversation.running == first
        both.reachable = True
        last = await both.ask("heard again")
        both.end(first)
        both.end(last)
        assert both.ended()[2:] == [(first, "completed"), (last, "completed")]


async def test_a_going_session_ends_every_response_once() -> None:
    async with talking() as both:
        asked = [await both.ask(text) for text in ("one", "two", "three")]
        both.conversation.fail("The session was closed.")
        both.conversation.fail("The session was closed.")
        both.end(asked[0], text="late")
    assert both.ended() == [(response, "failed") for response in asked]


async def test_what_cannot_be_sent_to_a_session_that_has_gone_is_told_once() -> None:
    async with talking() as both:
        both.open.clear()
        response = await both.ask("being sent")
        both.conversation.fail("The session was closed.")
        both.reachable = False
        both.open.set()
        await both.settled()
        assert both.ended() == [(response, "failed")]


async def test_a_waiting_question_is_withdrawn_at_the_worker() -> None:
    async with talking() as both:
        first, second = await both.ask("one"), await both.ask("two")
        both.begin(first)
        await both.cancel(second)
        assert both.sent[-1] == Cancel("s", second)
        assert both.ended() == []
        both.end(second, "cancelled")
        both.end(first)
        assert both.ended() == [(second, "cancelled"), (first, "completed")]


async def test_a_cancel_comes_behind_its_question() -> None:
    async with talking() as both:
        both.open.clear()
        response = await both.ask("being sent")
        await both.cancel()
        both.open.set()
        await both.settled()
        assert [type(message) for message in both.sent] == [Ask, Cancel]
        both.end(response, "cancelled")
        assert both.ended() == [(response, "cancelled")]


async def test_a_question_that_waits_to_be_sent_is_cancelled_here() -> None:
    async with talking() as both:
        both.open.clear()
        first, second = await both.ask("being sent"), await both.ask("not yet")
        await both.cancel(second)
        assert both.ended() == [(second, "cancelled")]
        both.open.set()
        await both.settled()
        assert [message.response for message in both.sent] == [first]


async def test_a_cancel_that_cannot_be_sent_ends_the_response_all_the_same() -> None:
    async with talking() as both:
        response = await both.ask("what?")
        both.reachable = False
        await both.cancel()
        both.end(response, text="late")
        assert both.ended() == [(response, "cancelled")]


async def test_cancelling_what_has_ended_is_an_error() -> None:
    async with talking() as both:
        response = await both.ask("quick")
        both.end(response, "cancelled", "qui")
        for wanted in (response, None):
            with pytest.raises(ClientError, match=r"has ended|being written"):
                await both.cancel(wanted)


async def test_a_first_frame_that_never_comes_is_told() -> None:
    async with talking(seen=False) as both:
        asked = [await both.ask("one"), await both.ask("two")]
        for _ in asked:
            both.conversation.tick(monotonic() + 31)
        assert both.ended() == [(response, "failed") for response in asked]
        assert "pictures have not reached the model" in both.why()
        both.conversation.seen()
        await both.settled()
        assert both.sent == []


async def test_a_silent_worker_is_not_waited_for_for_ever() -> None:
    async with talking() as both:
        first, second = await both.ask("one"), await both.ask("two")
        both.begin(first)
        both.conversation.tick(monotonic() + 119)
        assert both.ended() == []
        late = monotonic() + 121
        both.conversation.tick(late)
        both.conversation.tick(late)  # the second one has its own time
        assert both.ended() == [(first, "failed")]
        await both.settled()
        assert both.sent[-1] == Cancel("s", first)
        both.end(first)
        both.end(second)
        both.conversation.tick(late + 1000)
        assert both.ended() == [(first, "failed"), (second, "completed")]


async def test_an_answer_whose_end_was_lost_ends_when_the_next_begins() -> None:
    async with talking() as both:
        first, second = await both.ask("one"), await both.ask("two")
        both.begin(first)
        both.conversation.delta(AnswerDelta("s", first, 0, "half"))
        both.begin(second)
        assert both.ended() == [(first, "failed")]
        assert "lost" in both.why()
        both.end(first)
        both.end(second)
        assert both.ended() == [(first, "failed"), (second, "completed")]


_STEPS = st.sampled_from(
    ("ask", "cancel", "begin", "delta", "end", "withdraw", "break", "mend", "stall", "go", "wait")
)


@settings(deadline=None)
@given(st.lists(st.tuples(_STEPS, st.integers(0, 5)), max_size=40), st.booleans())
def test_whatever_happens_every_response_ends_once(
    steps: list[tuple[str, int]], seen: bool
) -> None:
    async def play() -> Both:
        async with talking(seen=seen) as both:
            asked: list[str] = []
            for step, which in steps:
                await _play(both, asked, step, asked[which] if which < len(asked) else "unknown")
            both.conversation.seen()
            both.open.set()
            await both.settled()
            both.conversation.fail("The session was closed.")
            return both

    both = asyncio.run(play())
    created = [e["response"]["id"] for e in both.told if e["type"] == "response.created"]
    ended = [response for response, _ in both.ended()]
    assert sorted(ended) == sorted(created)
    asks = [message.response for message in both.sent if isinstance(message, Ask)]
    assert asks == [response for response in created if response in asks]


async def _play(both: Both, asked: list[str], step: str, response: str) -> None:
    match step:
        case "ask":
            with contextlib.suppress(ClientError):  # too many
                asked.append(await both.ask(f"question {len(asked)}"))
        case "cancel":
            with contextlib.suppress(ClientError):  # it has ended
                await both.cancel(response)
        case "begin":
            both.begin(response)
        case "delta":
            both.conversation.delta(AnswerDelta("s", response, 0, "text"))
        case "end":
            both.end(response)
        case "withdraw":
            both.end(response, "cancelled")
        case "break":
            both.reachable = False
        case "mend":
            both.reachable = True
        case "stall":
            both.open.clear()
        case "go":
            both.open.set()
            both.conversation.seen()
            await both.settled()
        case _:
            both.conversation.tick(monotonic() + 200)
            await both.settled()
