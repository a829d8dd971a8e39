"""Questions wait for their frames, in order; cancellations do not."""

import asyncio
import time

import pytest

from messages.questions import Ask, Cancel
from server.outbox import Outbox


def ask(name: str) -> Ask:
    return Ask("s", name, "?")


async def soon(outbox: Outbox, seconds: float = 0.05) -> str | None:
    """The response of what comes next, or None where nothing comes so soon."""
    try:
        async with asyncio.timeout(seconds):
            return (await outbox.next()).response
    except TimeoutError:
        return None


async def test_a_question_waits_for_its_frames_and_holds_up_those_behind_it() -> None:
    outbox = Outbox(lambda response: True)
    outbox.ask(ask("a"), 0, 60)
    outbox.ask(ask("b"), 3, 60)
    outbox.ask(ask("c"), 0, 60)
    assert [await soon(outbox), await soon(outbox)] == ["a", None]
    outbox.told(2)
    assert await soon(outbox) is None
    waiting = asyncio.create_task(outbox.next())
    await asyncio.sleep(0.02)
    outbox.told(3)
    assert (await waiting).response == "b" and await soon(outbox) == "c"


async def test_a_cancellation_overtakes_a_question_that_waits() -> None:
    outbox = Outbox(lambda response: True)
    outbox.ask(ask("b"), 1, 60)
    waiting = asyncio.create_task(outbox.next())
    await asyncio.sleep(0.02)
    outbox.cancel(Cancel("s", "a"))
    assert await waiting == Cancel("s", "a")
    assert await soon(outbox) is None


async def test_what_nobody_wants_any_more_is_left_out() -> None:
    wanted = {"b"}
    outbox = Outbox(wanted.__contains__)
    outbox.ask(ask("a"), 9, 60)
    outbox.ask(ask("b"), 0, 60)
    assert await soon(outbox) == "b"
    assert await soon(outbox) is None


async def test_patience_ends() -> None:
    outbox = Outbox(lambda response: True)
    began = time.monotonic()
    outbox.ask(ask("a"), 1, 0.2)
    assert await soon(outbox, 5) == "a"
    assert time.monotonic() - began == pytest.approx(0.2, abs=0.15)
