"""Questions go out as they come, in order, and answers are told as they are written."""

from time import monotonic

import pytest

from messages.answers import AnswerDelta, AnswerDone, AnswerStarted
from messages.questions import Ask
from server.errors import ClientError
from server.events import (
    ResponseCreate,
)
from tests.server.both import Both, item, talking


async def test_items_since_the_last_response_are_one_question() -> None:
    async with talking() as both:
        await both.ask("It was on the table.", "What was it?")
        [ask] = both.sent
        assert isinstance(ask, Ask)
        assert (ask.text, ask.max_tokens) == ("It was on the table.\nWhat was it?", 128)


async def test_items_together_are_no_longer_than_one() -> None:
    both = Both()
    both.conversation.questions.add("me", item("x" * 2500))
    with pytest.raises(ClientError, match="5001 characters; ask in at most 4000"):
        both.conversation.questions.add("me", item("x" * 2500))
    both.conversation.questions.add("another", item("x" * 2500))


async def test_what_one_client_asks_is_no_part_of_anothers_question() -> None:
    async with talking() as both:
        both.conversation.questions.add("one", item("one's"))
        both.conversation.questions.add("other", item("other's"))
        both.conversation.respond("other", ResponseCreate())
        both.conversation.respond("one", ResponseCreate())
        await both.settled()
        assert [ask.text for ask in both.sent if isinstance(ask, Ask)] == ["other's", "one's"]
        with pytest.raises(ClientError, match="Nothing was asked"):
            both.conversation.respond("one", ResponseCreate())
        both.conversation.questions.add("one", item("never answered"))
        both.conversation.questions.forget("one")
        with pytest.raises(ClientError, match="Nothing was asked"):
            both.conversation.respond("one", ResponseCreate())


async def test_what_was_refused_is_not_asked_again() -> None:
    async with talking() as both:
        both.conversation.questions.add("me", item("early"))
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


async def test_a_question_waits_for_the_first_frame() -> None:
    async with talking(seen=False) as both:
        first, second = await both.ask("one"), await both.ask("two")
        assert both.sent == []
        both.conversation.tick(monotonic() + 29)
        both.conversation.seen()
        await both.settled()
        assert [message.response for message in both.sent] == [first, second]
        assert both.ended() == []
