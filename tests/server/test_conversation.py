"""One answer at a time, in order, and every response that was created comes to an end."""

from typing import Any

import pytest

from messages.answers import AnswerDelta, AnswerDone, AnswerStarted
from messages.questions import Ask, Cancel
from server.conversation import Conversation
from server.errors import ClientError, broker_unavailable
from server.events import InputText, ItemCreate, ResponseCancel, ResponseCreate, UserMessage
from server.settings import GatewaySettings


class Both:
    """A conversation between two lists."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []
        self.sent: list[Ask | Cancel] = []
        self.reachable = True
        self.conversation = Conversation("s", GatewaySettings(), self.told.append, self._send)

    async def _send(self, message: Ask | Cancel) -> None:
        if not self.reachable:
            raise broker_unavailable("gone")
        self.sent.append(message)

    async def ask(self, *texts: str) -> None:
        for text in texts:
            self.conversation.add(ItemCreate(UserMessage("user", [InputText(text)])))
        await self.conversation.respond(ResponseCreate(), seen=True)

    def ended(self) -> list[tuple[str, str]]:
        return [
            (event["response"]["id"], event["response"]["status"])
            for event in self.told
            if event["type"] == "response.done"
        ]


async def test_items_since_the_last_response_are_one_question() -> None:
    both = Both()
    await both.ask("It was on the table.", "What was it?")
    assert both.sent[0].text == "It was on the table.\nWhat was it?"
    assert both.sent[0].max_tokens == 128


async def test_items_together_are_no_longer_than_one() -> None:
    both = Both()
    item = ItemCreate(UserMessage("user", [InputText("x" * 2500)]))
    both.conversation.add(item)
    with pytest.raises(ClientError, match="5001 characters; ask in at most 4000"):
        both.conversation.add(item)


async def test_what_was_refused_is_not_asked_again() -> None:
    both = Both()
    both.conversation.add(ItemCreate(UserMessage("user", [InputText("early")])))
    with pytest.raises(ClientError, match="No picture"):
        await both.conversation.respond(ResponseCreate(), seen=False)
    await both.ask("late")
    assert [ask.text for ask in both.sent] == ["late"]


async def test_an_answer_that_reached_its_limit_is_incomplete_and_kept() -> None:
    both = Both()
    await both.ask("tell me all")
    response = both.sent[0].response
    both.conversation.started(AnswerStarted("s", response, None))
    both.conversation.delta(AnswerDelta("s", response, 0, "All"))
    await both.conversation.done(AnswerDone("s", response, "incomplete", "All", "", 5, 1))
    done = both.told[-1]["response"]
    assert done["status"] == "incomplete"
    assert done["status_details"]["reason"] == "max_output_tokens"
    assert done["output"][0]["content"] == [{"type": "output_text", "text": "All"}]
    assert done["lookback"]["span"] is None


async def test_an_empty_answer_has_its_items_too() -> None:
    both = Both()
    await both.ask("say nothing")
    await both.conversation.done(AnswerDone("s", both.sent[0].response, "completed", ""))
    kinds = [event["type"] for event in both.told]
    assert kinds.index("response.output_item.added") < kinds.index("response.output_item.done")


async def test_a_question_that_cannot_be_sent_has_failed_and_blocks_nothing() -> None:
    both = Both()
    both.reachable = False
    await both.ask("lost")
    [(_, status)] = both.ended()
    assert status == "failed" and both.conversation.running is None
    both.reachable = True
    await both.ask("heard")
    assert [ask.text for ask in both.sent] == ["heard"]


async def test_a_going_session_ends_every_response_once() -> None:
    both = Both()
    for text in ("one", "two", "three"):
        await both.ask(text)
    both.conversation.fail("The session was closed.")
    both.conversation.fail("The session was closed.")
    await both.conversation.done(AnswerDone("s", both.sent[0].response, "completed", "late"))
    created = [e["response"]["id"] for e in both.told if e["type"] == "response.created"]
    assert both.ended() == [(response, "failed") for response in created]


async def test_cancelling_what_has_ended_is_an_error() -> None:
    both = Both()
    await both.ask("quick")
    response = both.sent[0].response
    await both.conversation.cancel(ResponseCancel(response))
    assert both.sent[-1] == Cancel("s", response)
    await both.conversation.done(AnswerDone("s", response, "cancelled", "qui"))
    assert both.ended() == [(response, "cancelled")]
    with pytest.raises(ClientError, match="has ended"):
        await both.conversation.cancel(ResponseCancel(response))
