"""The connection is cut at any moment: an answer goes on without a lost or doubled piece."""

import asyncio
from contextlib import ExitStack
from random import Random
from typing import Any

import pytest

from lookback_client import Answer, Lookback, SessionLost, Unreachable
from messages.questions import Ask, Cancel
from server.settings import GatewaySettings
from tests.clients.conftest import picture, shown
from tests.clients.proxy import proxied
from tests.server.clients import eventually
from tests.server.conftest import serving

WORDS = [f"{number} " for number in range(60)]
QUESTION = "".join(WORDS).strip()


async def read(answer: Answer) -> list[str]:
    return [piece async for piece in answer]


@pytest.mark.parametrize(
    ("down", "up"),
    [
        ([1500, 4000, 9000], []),  # among the greetings, and twice among the pieces
        ([2500] * 4, []),
        ([], [450, 1000]),  # before the question has arrived, and in its middle
        ([6000], [10**6, 300]),  # during the handshake of the second connection
        ([b'"response.output_text.done"'], []),
        ([b'"response.done"'], []),
        ([5000, b'"response.output_text.delta"'], []),  # between greeting and repetition
        ([b'"response.created"', b'"lookback.response.started"'], []),
    ],
)
async def test_an_answer_that_is_cut_goes_on(
    gateway: str, worker: Any, down: list[Any], up: list[Any]
) -> None:
    async with Lookback(gateway) as direct, direct.session() as session, proxied(gateway) as proxy:
        await shown(session)
        async with Lookback(proxy.url) as lookback, lookback.join(session.id) as asking:
            proxy.down, proxy.up = [10**6, *down], [10**6, *up]
            proxy.cut()
            answer = asking.ask(QUESTION)
            async with asyncio.timeout(30):
                pieces = [piece async for piece in answer]
            again = await asking.ask("and again")
    assert pieces == WORDS
    assert answer.status == again.status == "completed"
    assert proxy.connections >= 2 + max(len(down), len(up))
    # What had arrived was not asked again.
    assert [ask.text for ask in worker.of(Ask, session.id)] == [QUESTION, "and again"]


@pytest.mark.parametrize("seed", [3, 5, 8])
async def test_several_answers_that_are_cut_anywhere_go_on(
    gateway: str, worker: Any, seed: int
) -> None:
    random = Random(seed)
    questions = [" ".join(f"{mark}{number}" for number in range(40)) for mark in "abc"]

    async with Lookback(gateway) as direct, direct.session() as session, proxied(gateway) as proxy:
        await shown(session)
        async with Lookback(proxy.url) as lookback, lookback.join(session.id) as asking:
            proxy.down = [10**6, *(random.randint(50, 12000) for _ in range(4))]
            proxy.up = [10**6, *(random.choice([10**6, random.randint(50, 3000)]) for _ in "1234")]
            proxy.cut()
            async with asyncio.timeout(40):
                pieces = await asyncio.gather(*(read(asking.ask(each)) for each in questions))
    assert ["".join(each).strip() for each in pieces] == questions
    assert sorted(ask.text for ask in worker.of(Ask, session.id)) == questions


async def test_what_is_said_while_we_are_away_is_heard_later(gateway: str, worker: Any) -> None:
    async with Lookback(gateway) as direct, direct.session() as session, proxied(gateway) as proxy:
        await shown(session)
        async with Lookback(proxy.url) as lookback, lookback.join(session.id) as asking:
            slow = asking.ask("slowly now")
            await eventually(lambda: len(slow.text) > 12)
            proxy.refusing = True
            proxy.cut()
            waiting = asking.ask("asked while away")
            given_up = asking.ask("given up while away")
            await asyncio.sleep(0.3)
            given_up.cancel()
            slow.cancel()
            assert not slow.done and not worker.of(Cancel, session.id)
            proxy.refusing = False
            answers = await asyncio.gather(slow, waiting, given_up)
    assert [answer.status for answer in answers] == ["cancelled", "completed", "cancelled"]
    assert answers[1].text == "asked while away"
    assert [ask.text for ask in worker.of(Ask, session.id)] == ["slowly now", "asked while away"]


async def test_it_is_given_up_after_a_while(gateway: str) -> None:
    async with Lookback(gateway) as direct, direct.session() as session, proxied(gateway) as proxy:
        await shown(session)
        lookback = Lookback(proxy.url, reconnect_seconds=0.5)
        async with lookback, lookback.join(session.id) as asking:
            slow = asking.ask("slowly now")
            await eventually(lambda: slow.text)
            proxy.refusing = True
            proxy.cut()
            with pytest.raises(Unreachable, match=proxy.url):
                await slow
            with pytest.raises(Unreachable):
                await asking.ask("and now?")


async def test_a_session_that_is_gone_when_we_come_back_is_lost(gateway: str) -> None:
    async with (
        Lookback(gateway) as direct,
        direct.session() as session,
        proxied(gateway) as proxy,
        Lookback(proxy.url) as lookback,
        lookback.join(session.id) as asking,
    ):
        await shown(session)
        slow = asking.ask("slowly now")
        await eventually(lambda: slow.text)
        proxy.refusing = True
        proxy.cut()
        await session.delete()
        proxy.refusing = False
        with pytest.raises(SessionLost, match="its memory of what it saw is lost") as lost:
            await slow
    assert lost.value.reason == "unknown_session"


async def test_a_lost_worker_is_a_lost_memory(serve: Any, worker: Any) -> None:
    async with Lookback(serve(takeover_seconds=0)) as lookback, lookback.session() as session:
        await shown(session)
        slow = session.ask("slowly now")
        await eventually(lambda: slow.text)
        worker.stop()
        with pytest.raises(SessionLost, match="lost") as lost:
            await slow
    assert lost.value.reason == "worker_lost"


@pytest.mark.parametrize("cut", [b'"response.created"', 6000])
async def test_an_answer_goes_on_at_the_gateway_that_comes_next(
    broker_url: str, worker: Any, cut: Any
) -> None:
    settings = GatewaySettings(broker_url=broker_url)
    with ExitStack() as first, ExitStack() as second:
        url = first.enter_context(serving(settings))
        async with (
            proxied(url) as proxy,
            Lookback(proxy.url) as lookback,
            lookback.session() as session,
        ):
            await shown(session)
            camera = await session.publish((picture(number) for number in range(999)), per_second=5)
            proxy.down = [*[10**6] * proxy.connections, cut, cut]
            proxy.cut()
            await eventually(lambda: session._realtime and session._realtime._outgoing)
            answer = session.ask(QUESTION)
            reading = asyncio.create_task(read(answer))
            await eventually(lambda: worker.of(Ask, session.id))
            proxy.refusing = True
            proxy.cut()
            await asyncio.to_thread(first.close)
            url = await asyncio.to_thread(second.enter_context, serving(settings))
            proxy.lead_to(url)
            proxy.refusing = False
            assert await asyncio.wait_for(reading, 30) == WORDS
            assert len(worker.of(Ask, session.id)) == 1
            sent = camera.frames_sent
            await eventually(lambda: camera.frames_sent > sent + 1)


async def test_a_session_that_is_closed_says_why(lookback: Lookback, worker: Any) -> None:
    async with lookback.session() as session:
        await shown(session)
        slow = session.ask("slowly now")
        await eventually(lambda: slow.text)
        await session.delete()
        for answer in (slow, session.ask("and now?")):
            with pytest.raises(SessionLost, match="closed by its user") as lost:
                await answer
            assert lost.value.reason == "closed"
