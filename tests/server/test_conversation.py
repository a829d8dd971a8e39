"""Questions go out as they come, in order, and every response that was created ends once."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from time import monotonic
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from messages.answers import AnswerDelta, AnswerDone, AnswerStarted, Span
from messages.questions import Ask, Cancel
from server.conversation import Conversation
from server.errors import ClientError, broker_unavailable
from server.events import (
    InputText,
    ItemCreate,
    ResponseCancel,
    ResponseCreate,
    ResponseOptions,
    UserMessage,
)
from server.settings import GatewaySettings
from server.tasks import stop


def item(text: str) -> ItemCreate:
    return ItemCreate(UserMessage("user", [InputText(text)]))


class Both:
    """A conversation between two lists, whose sender runs until the broker is taken away."""

    def __init__(self, **settings: Any) -> None:
        self.told: list[dict[str, Any]] = []
        self.sent: list[Ask | Cancel] = []
        self.reachable = True
        self.open = asyncio.Event()
        self.open.set()
        self.conversation = Conversation(
            "s", GatewaySettings(**settings), self.told.append, self._send
        )

    async def _send(self, message: Ask | Cancel) -> None:
        await self.open.wait()
        if not self.reachable:
            raise broker_unavailable("gone")
        self.sent.append(message)

    async def ask(self, *texts: str, client: str = "me", **options: Any) -> str:
        """The id of the response, when all that can be sent is sent."""
        for text in texts:
            self.conversation.add(client, item(text))
        self.conversation.respond(client, ResponseCreate(ResponseOptions(**options)))
        await self.settled()
        created: str = [e for e in self.told if e["type"] == "response.created"][-1]["response"][
            "id"
        ]
        return created

    async def settled(self) -> None:
        for _ in range(20):
            await asyncio.sleep(0)

    async def cancel(self, response: str | None = None) -> None:
        self.conversation.cancel(ResponseCancel(response))
        await self.settled()

    def begin(self, response: str) -> None:
        self.conversation.started(AnswerStarted("s", response, Span(0.0, 2.0, 0.1), 3, 1))

    def end(self, response: str, status: Any = "completed", text: str = "") -> None:
        self.conversation.done(AnswerDone("s", response, status, text))

    def ended(self) -> list[tuple[str, str]]:
        return [
            (event["response"]["id"], event["response"]["status"])
            for event in self.told
            if event["type"] == "response.done"
        ]

    def why(self) -> str:
        """Why the last response failed."""
        [*_, last] = [e["response"] for e in self.told if e["type"] == "response.done"]
        message: str = last["status_details"]["message"]
        return message


@contextlib.asynccontextmanager
async def talking(*, seen: bool = True, **settings: Any) -> AsyncIterator[Both]:
    both = Both(**settings)
    if seen:
        both.conversation.seen()
    task = asyncio.create_task(both.conversation.run())
    try:
        yield both
    finally:
        assert not task.done(), "the sender failed"
        await stop(task)


async def test_items_since_the_last_response_are_one_question() -> None:
    async with talking() as both:
        await both.ask("It was on the table.", "What was it?")
        [ask] = both.sent
        assert isinstance(ask, Ask)
        assert (ask.text, ask.max_tokens) == ("It was on the table.\nWhat was it?", 128)


async def test_items_together_are_no_longer_than_one() -> None:
    both = Both()
    both.conversation.add("me", item("x" * 2500))
    with pytest.raises(ClientError, match="5001 characters; ask in at most 4000"):
        both.conversation.add("me", item("x" * 2500))
    both.conversation.add("another", item("x" * 2500))


async def test_what_one_client_asks_is_no_part_of_anothers_question() -> None:
    async with talking() as both:
        both.conversation.add("one", item("one's"))
        both.conversation.add("other", item("other's"))
        both.conversation.respond("other", ResponseCreate())
        both.conversation.respond("one", ResponseCreate())
        await both.settled()
        assert [ask.text for ask in both.sent if isinstance(ask, Ask)] == ["other's", "one's"]
        with pytest.raises(ClientError, match="Nothing was asked"):
            both.conversation.respond("one", ResponseCreate())
        both.conversation.add("one", item("never answered"))
        both.conversation.forget("one")
        with pytest.raises(ClientError, match="Nothing was asked"):
            both.conversation.respond("one", ResponseCreate())


async def test_what_was_refused_is_not_asked_again() -> None:
    async with talking() as both:
        both.conversation.add("me", item("early"))
        with pytest.raises(ClientError, match="No picture"):
            both.conversation.respond("me", ResponseCreate(), ClientError("x", "No picture."))
        await both.ask("late")
        assert [ask.text for ask in both.sent if isinstance(ask, Ask)] == ["late"]


async def test_what_a_client_wants_of_an_answer_reaches_the_worker() -> None:
    async with talking() as both:
        await both.ask("a", max_output_tokens=9999, stop=["\n", "end"], temperature=0.5, seed=3)
        [ask] = both.sent
        assert isinstance(ask, Ask)
        assert (ask.max_tokens, ask.stop) == (1024, ("\n", "end"))
        assert (ask.temperature, ask.seed) == (0.5, 3)


async def test_several_questions_are_in_flight_and_told_with_their_place() -> None:
    async with talking() as both:
        asked = [await both.ask(text) for text in ("one", "two", "three")]
        assert [message.response for message in both.sent] == asked
        created = [e["response"] for e in both.told if e["type"] == "response.created"]
        assert [c["lookback"]["queue_position"] for c in created] == [0, 1, 2]
        assert (both.conversation.running, both.conversation.queued) == (asked[0], 2)
        for response in asked:
            both.begin(response)
            both.end(response, text="yes")
        assert both.ended() == [(response, "completed") for response in asked]
        assert both.conversation.running is None


async def test_an_answer_says_which_question_and_how_many_turns_it_rests_on() -> None:
    async with talking() as both:
        response = await both.ask("what?", metadata={"tab": "2"})
        created = both.told[-1]["response"]
        assert created["lookback"]["question"] == "what?"
        assert created["lookback"]["turns_kept"] is None
        both.begin(response)
        [started] = [e for e in both.told if e["type"] == "lookback.response.started"]
        both.end(response)
        done = both.told[-1]["response"]
        for lookback in (started["lookback"], done["lookback"]):
            assert (lookback["turns_kept"], lookback["turns_forgotten"]) == (3, 1)
            assert (lookback["span"], lookback["newest_frame_age"]) == ([0.0, 2.0], 0.1)
        assert created["metadata"] == done["metadata"] == {"tab": "2"}


async def test_an_answer_that_reached_its_limit_is_incomplete_and_kept() -> None:
    async with talking() as both:
        response = await both.ask("tell me all")
        both.conversation.started(AnswerStarted("s", response, None))
        both.conversation.delta(AnswerDelta("s", response, 0, "All"))
        both.conversation.done(AnswerDone("s", response, "incomplete", "All", "", 5, 1))
        done = both.told[-1]["response"]
    assert done["status"] == "incomplete"
    assert done["status_details"]["reason"] == "max_output_tokens"
    assert done["output"][0]["content"] == [{"type": "output_text", "text": "All"}]
    assert done["lookback"]["span"] is None


async def test_an_empty_answer_has_its_items_too() -> None:
    async with talking() as both:
        both.end(await both.ask("say nothing"))
    kinds = [event["type"] for event in both.told]
    assert kinds.index("response.output_item.added") < kinds.index("response.output_item.done")


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


async def test_a_question_waits_for_the_first_frame() -> None:
    async with talking(seen=False) as both:
        first, second = await both.ask("one"), await both.ask("two")
        assert both.sent == []
        both.conversation.tick(monotonic() + 29)
        both.conversation.seen()
        await both.settled()
        assert [message.response for message in both.sent] == [first, second]
        assert both.ended() == []


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
