"""The broker is started anew, emptied, slow and full."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from lookback_client import AnswerFailed, Lookback
from messages import keys
from tests.faults.broker import Broker
from tests.faults.figures import Figures
from tests.faults.link import Link
from tests.faults.part import Gateway
from tests.faults.service import Service, service
from tests.faults.unharmed import no_leak
from tests.faults.user import user


@dataclass(frozen=True)
class Parts:
    """A gateway and a worker near the broker, and another pair beyond a link."""

    service: Service
    broker: Broker
    gateway: Gateway
    link: Link
    far: Gateway


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory, checkpoint: Path) -> Iterator[Parts]:
    folder = tmp_path_factory.mktemp("parts")
    with service(folder, checkpoint) as made, Link(made.broker.port) as link:
        yield Parts(made, made.broker, made.gateway("near"), link, made.gateway("far", link))


@pytest.fixture(scope="module", autouse=True)
def workers(parts: Parts) -> None:
    parts.service.worker("one", snapshots="broker")
    parts.service.worker("afar", parts.link)
    parts.service.ready()


@pytest.fixture
def gateway(parts: Parts) -> Gateway:
    return parts.gateway


async def test_a_broker_started_anew(parts: Parts, gateway: Gateway, figures: Figures) -> None:
    async with no_leak(gateway), user(gateway.url) as one, user(gateway.url) as two:
        frames = [await each.frames() for each in (one, two)]
        answer = await one.begun()
        parts.broker.kill()
        at = time.monotonic()
        reply = await asyncio.to_thread(httpx.get, f"{gateway.url}/health")
        assert reply.status_code == 200
        await asyncio.sleep(1.0)
        parts.broker.start()
        parts.broker.answers()
        # What the worker had not said yet, it says now; what was said before is lost.
        try:
            await answer
        except AnswerFailed as error:
            assert "ask again" in str(error), error
        back = await one.answered(at)
        assert (await two.ask("and you")).status == "incomplete"
        for each, before in zip((one, two), frames, strict=True):
            assert await each.frames() >= before, "the memory is the one it was"
        async with user(gateway.url) as new:
            assert (await new.ask("new")).status == "incomplete"
        figures.note(
            "broker killed in mid-answer and started anew, empty",
            "`response.done`: whole, or failed (ask again)",
            back,
            "pictures that came meanwhile; snapshots on the broker until the next ones",
        )


async def test_a_broker_emptied(parts: Parts, gateway: Gateway, figures: Figures) -> None:
    async with no_leak(gateway), user(gateway.url) as one, user(gateway.url) as two:
        frames = [await each.frames() for each in (one, two)]
        answer = await one.begun()
        parts.broker.client.flushall()
        at = time.monotonic()
        await answer
        back = await one.answered(at)
        assert (await two.ask("and you")).status == "incomplete"
        for each, before in zip((one, two), frames, strict=True):
            assert await each.frames() >= before
            assert not each.events("lookback.session.moved", at)
        figures.note(
            "broker emptied (FLUSHALL) in mid-answer",
            "nothing: the answer goes on",
            back,
            "words that had not been read; snapshots on the broker until the next ones",
        )


async def test_a_broker_emptied_before_a_question_was_read(
    parts: Parts, gateway: Gateway, figures: Figures
) -> None:
    """The session's worker is beyond the link, which is cut for as long as that takes."""
    await parts.service.idle()
    async with user(gateway.url) as one, user(gateway.url) as two:
        owners = {parts.service.owner(each.id): each for each in (one, two)}
        far = next(each for owner, each in owners.items() if owner and owner.name == "afar")
        parts.link.cut()
        try:
            await asyncio.sleep(0.7)  # until what it waits to read has run out
            answer = far.ask("who reads this")
            inbox = keys.inbox(far.id)
            async with asyncio.timeout(10):
                while not parts.broker.client.xlen(inbox):  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            parts.broker.client.flushall()
            at = time.monotonic()
        finally:
            parts.link.mend()
        async with asyncio.timeout(20):
            assert (await answer).text
        back = time.monotonic() - at
        assert not far.events("lookback.session.moved", at)
    figures.note(
        "broker emptied (FLUSHALL) before a question was read",
        "nothing: the question is sent again",
        back,
        "pictures that came meanwhile",
    )


async def test_a_full_broker(parts: Parts, gateway: Gateway, figures: Figures) -> None:
    async with no_leak(gateway), user(gateway.url) as one, user(gateway.url) as two:
        frames = [await each.frames() for each in (one, two)]
        parts.broker.fill()
        try:
            with pytest.raises(AnswerFailed, match="broker is full"):
                await one.ask("what now")
            reply = await asyncio.to_thread(httpx.post, f"{gateway.url}/v1/sessions")
            assert reply.status_code == 503, reply.text
            assert reply.json()["error"]["code"] == "broker_unavailable"
            assert "retry-after" in reply.headers
            await asyncio.sleep(keys.LEASE_SECONDS + 2.0)
        finally:
            parts.broker.widen()
        at = time.monotonic()
        back = await one.answered(at)
        assert (await two.ask("and you")).status == "incomplete"
        for each, before in zip((one, two), frames, strict=True):
            assert await each.frames() >= before
            assert not each.events("lookback.session.moving"), "full is not lost"
        figures.note(
            "broker full (OOM error)",
            "`response.done` failed with the broker's error; new sessions: 503 with Retry-After",
            back,
            "pictures that came meanwhile",
        )


async def test_a_slow_broker(parts: Parts, figures: Figures) -> None:
    """200 ms each way for all that gateway and worker say."""
    gateway = parts.far
    await parts.service.idle()
    async with no_leak(gateway), user(gateway.url) as one, user(gateway.url) as two:
        owners = {parts.service.owner(each.id) for each in (one, two)}
        assert len(owners) == 2, "one of them is far from the broker, too"
        parts.link.delay = 0.2
        try:
            at = time.monotonic()
            answers = await asyncio.gather(*(each.ask("how are you", 50) for each in (one, two)))
            back = time.monotonic() - at
            assert [answer.status for answer in answers] == ["incomplete"] * 2
            await asyncio.sleep(keys.LEASE_SECONDS + 2.0)
            for each in (one, two):
                await each.seeing(at)
                assert not each.events("lookback.session.moving"), "slow is not lost"
                assert each.lost is None
            async with Lookback(gateway.url) as lookback, lookback.session() as third:
                assert third.info is not None
        finally:
            parts.link.delay = 0.0
    figures.note("broker slow (200 ms each way)", "nothing: answers come later", back, "nothing")
