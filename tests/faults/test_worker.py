"""A worker is killed in mid-answer and in mid-ingest, with and without snapshots, and stopped."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from lookback_client import AnswerFailed
from messages import keys
from tests.faults.figures import Figures
from tests.faults.part import Gateway, Part
from tests.faults.service import Service, service
from tests.faults.unharmed import no_leak, unharmed
from tests.faults.user import User, user


class Pair:
    """A gateway and two workers. kept: whether snapshots are."""

    def __init__(self, service: Service, kept: Path | None) -> None:
        self.service = service
        self.kept = kept is not None
        snapshots = str(kept) if kept else "off"
        self.gateway: Gateway = service.gateway()
        for name in ("one", "two"):
            service.worker(name, snapshots=snapshots)

    def of(self, user: User) -> Part:
        """The worker that has it."""
        owner = self.service.owner(user.id)
        assert owner is not None
        return owner


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory, checkpoint: Path) -> Iterator[list[Pair]]:
    with ExitStack() as stack:
        made = []
        for kept in (None, tmp_path_factory.mktemp("snapshots")):
            running = stack.enter_context(service(tmp_path_factory.mktemp("parts"), checkpoint))
            made.append(Pair(running, kept))
        for pair in made:
            pair.service.ready()
        yield made


def words(pair: Pair) -> str:
    return "with snapshots" if pair.kept else "without snapshots"


async def in_mid_answer(pair: Pair, figures: Figures) -> None:
    """Another worker goes on."""
    async with user(pair.gateway.url) as victim, user(pair.gateway.url) as other:
        killed = pair.of(victim)
        assert pair.of(other) is not killed, "the one with most free bytes takes a session"
        async with unharmed(other):
            before = await victim.frames()
            await asyncio.sleep(1.2)  # for a snapshot of it
            answer = await victim.begun()
            killed.kill()
            at = time.monotonic()
            with pytest.raises(AnswerFailed, match="ask again") as failed:
                await answer
            assert failed.value.text, "what was written is not taken back"
            moving = await victim.until("lookback.session.moving", since=at)
            assert "silent" in moving["message"]
            moved = await victim.until("lookback.session.moved", since=at)
            assert moved["restored"] is pair.kept
            back = await victim.answered(at)
            lost = "the answer, and all that was seen"
            if pair.kept:
                assert moved["lost_seconds"] < 60
                assert await victim.frames() >= before
                lost = f"the answer, and the newest {moved['lost_seconds']:.1f} s"
            else:
                assert "lost" in moved["message"]
            assert pair.of(victim) is pair.of(other)
        figures.note(
            f"worker killed in mid-answer, another one there, {words(pair)}",
            "`moving`, `response.done` failed (ask again), `moved`",
            back,
            lost,
        )


async def in_mid_ingest(pair: Pair, figures: Figures) -> None:
    """There is no other worker, but this one is started again."""
    async with user(pair.gateway.url) as victim:
        killed = pair.of(victim)
        before = await victim.frames()
        await asyncio.sleep(1.2)
        killed.kill()
        at = time.monotonic()
        killed.start()
        moved = await victim.until("lookback.session.moved", since=at)
        assert moved["restored"] is pair.kept
        back = await victim.answered(at)
        if pair.kept:
            assert await victim.frames() >= before
        lost = f"the newest {moved['lost_seconds']:.1f} s" if pair.kept else "all that was seen"
        figures.note(
            f"worker killed in mid-ingest, started again, {words(pair)}",
            "`moving`, `moved`",
            back,
            lost,
        )


async def test_a_killed_worker(pairs: list[Pair], figures: Figures) -> None:
    async def both(pair: Pair) -> None:
        async with no_leak(pair.gateway):
            await in_mid_answer(pair, figures)
            await in_mid_ingest(pair, figures)

    await asyncio.gather(*(both(pair) for pair in pairs))


async def test_a_stopped_worker_has_lost_its_sessions(pairs: list[Pair], figures: Figures) -> None:
    pair = pairs[1]
    for part in pair.service.parts:
        if part.process.poll() is not None:
            part.start()
    pair.service.ready()
    await pair.service.idle()
    async with (
        no_leak(pair.gateway),
        user(pair.gateway.url) as victim,
        user(pair.gateway.url) as other,
    ):
        stopped = pair.of(victim)
        async with unharmed(other):
            await asyncio.sleep(0.6)
            answer = await victim.begun()
            stopped.pause()
            at = time.monotonic()
            moved = await victim.until("lookback.session.moved", since=at)
            with pytest.raises(AnswerFailed, match="ask again"):
                await answer
            back = await victim.answered(at)
            told, said = len(victim.told), answer.text
            stopped.go_on()
            # It says that it has lost the session, and nothing of it to the user.
            async with asyncio.timeout(30):
                while (card := pair.service.card(stopped)) is None or card.sessions:  # noqa: ASYNC110
                    await asyncio.sleep(0.1)
            assert answer.text == said
            former = pair.service.broker.client.hkeys(keys.former(victim.id))
            assert len(former) == 1, "it has said that it did not die"
            assert not [e for _, e in victim.told[told:] if e.get("response_id") == answer.id]
            assert pair.of(victim) is not stopped
            assert (await victim.ask("still there")).status == "incomplete"
        figures.note(
            "worker stopped (SIGSTOP), goes on after its lease was lost",
            "`moving`, `response.done` failed (ask again), `moved`",
            back,
            f"the answer, and the newest {moved['lost_seconds']:.1f} s",
        )
