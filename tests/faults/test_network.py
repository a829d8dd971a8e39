"""The network between a part and the broker is cut for ten seconds, longer than a lease."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from lookback_client import AnswerFailed
from tests.faults.figures import Figures
from tests.faults.link import Link
from tests.faults.part import Gateway, Part
from tests.faults.service import Service, service
from tests.faults.unharmed import no_leak, unharmed
from tests.faults.user import user

CUT_SECONDS = 10.0


@dataclass(frozen=True)
class Parts:
    """links: between the broker and the part of that name."""

    service: Service
    links: dict[str, Link]
    gateways: dict[str, Gateway]
    workers: dict[str, Part]


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory, checkpoint: Path) -> Iterator[Parts]:
    snapshots = str(tmp_path_factory.mktemp("snapshots"))
    with service(tmp_path_factory.mktemp("parts"), checkpoint) as made:
        port = made.broker.port
        with Link(port) as far_gateway, Link(port) as one, Link(port) as two:
            links = {"far": far_gateway, "one": one, "two": two}
            gateways = {"near": made.gateway("near"), "far": made.gateway("far", far_gateway)}
            workers = {
                name: made.worker(name, links[name], snapshots=snapshots) for name in ("one", "two")
            }
            made.ready()
            yield Parts(made, links, gateways, workers)


async def test_a_worker_that_is_cut_off(parts: Parts, figures: Figures) -> None:
    """Another one goes on meanwhile; the one that is back holds nothing of it."""
    gateway = parts.gateways["near"]
    await parts.service.idle()
    async with no_leak(gateway), user(gateway.url) as victim, user(gateway.url) as other:
        worker = parts.service.owner(victim.id)
        assert worker is not None and worker is not parts.service.owner(other.id)
        async with unharmed(other):
            await asyncio.sleep(0.6)
            answer = await victim.begun()
            parts.links[worker.name].cut()
            at = time.monotonic()
            try:
                with pytest.raises(AnswerFailed, match="ask again"):
                    await answer
                moved = await victim.until("lookback.session.moved", since=at)
                assert moved["restored"]
                back = await victim.answered(at)
                await asyncio.sleep(max(0.0, at + CUT_SECONDS - time.monotonic()))
            finally:
                parts.links[worker.name].mend()
            told = len(victim.told)
            mended = time.monotonic()
            async with asyncio.timeout(60):
                while (card := parts.service.card(worker)) is None or card.sessions:  # noqa: ASYNC110
                    await asyncio.sleep(0.1)
            freed = time.monotonic() - mended
            said = [e for _, e in victim.told[told:] if e.get("response_id") == answer.id]
            assert not said, "nothing that the former owner wrote is believed"
            assert parts.service.owner(victim.id) is not worker
            assert (await victim.ask("still there")).status == "incomplete"
        async with user(gateway.url) as new:
            assert parts.service.owner(new.id) is worker, "it takes sessions again"
            assert (await new.ask("new")).status == "incomplete"
    figures.note(
        "worker cut off from the broker for 10 s, another one there",
        "`moving`, `response.done` failed (ask again), `moved`",
        back,
        f"the answer, and the newest {moved['lost_seconds']:.1f} s (its memory at the former "
        f"worker is free {freed:.1f} s after the cut)",
    )


async def test_the_only_worker_is_cut_off(parts: Parts, figures: Figures) -> None:
    gateway = parts.gateways["near"]
    await parts.service.idle()
    async with no_leak(gateway), user(gateway.url) as one, user(gateway.url) as two:
        frames = [await each.frames() for each in (one, two)]
        for name in parts.workers:
            parts.links[name].cut()
        cut = time.monotonic()
        try:
            await one.until("lookback.session.moving", since=cut)
            reply = await asyncio.to_thread(httpx.get, f"{gateway.url}/ready")
            assert reply.status_code == 503 and reply.json()["error"]["code"] == "no_worker"
            await asyncio.sleep(max(0.0, cut + CUT_SECONDS - time.monotonic()))
        finally:
            for name in parts.workers:
                parts.links[name].mend()
        at = time.monotonic()
        back = await one.answered(at)
        await two.answered(at)
        for each, before in zip((one, two), frames, strict=True):
            moved = await each.until("lookback.session.moved", since=cut)
            assert moved["restored"]
            assert await each.frames() >= before
    figures.note(
        "all workers cut off from the broker for 10 s",
        "`moving`, `moved`; new sessions: 503 with Retry-After",
        back,
        "pictures that came meanwhile",
    )


async def test_a_gateway_that_is_cut_off(parts: Parts, figures: Figures) -> None:
    """Its clients stay; it goes on with their sessions."""
    gateway = parts.gateways["far"]
    async with (
        no_leak(gateway),
        user(parts.gateways["near"].url) as other,
        user(gateway.url) as victim,
        unharmed(other),
    ):
        frames = await victim.frames()
        answer = await victim.begun()
        parts.links["far"].cut()
        cut = time.monotonic()
        try:
            health = await asyncio.to_thread(httpx.get, f"{gateway.url}/health")
            assert health.status_code == 200
            new = await asyncio.to_thread(httpx.post, f"{gateway.url}/v1/sessions", timeout=60.0)
            assert new.status_code == 503 and "retry-after" in new.headers, new.text
            refused = time.monotonic() - cut
            await asyncio.sleep(max(0.0, cut + CUT_SECONDS - time.monotonic()))
        finally:
            parts.links["far"].mend()
        at = time.monotonic()
        await answer
        assert answer.status == "incomplete", "what was written meanwhile is told now"
        back = await victim.answered(at)
        await victim.seeing(at)
        assert await victim.frames() >= frames
        assert not victim.events("lookback.session.closed")
    figures.note(
        "gateway cut off from the broker for 10 s, in mid-answer",
        f"nothing: the answer goes on; new sessions: 503 after {refused:.1f} s",
        back,
        "pictures that came meanwhile",
    )
