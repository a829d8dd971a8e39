"""A session ends the whole process of the worker that serves it, and of the next one."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from messages import keys
from tests.faults.figures import Figures
from tests.faults.part import Gateway
from tests.faults.service import Service, service
from tests.faults.unharmed import no_leak
from tests.faults.user import user


@pytest.fixture
def parts(tmp_path: Path, checkpoint: Path) -> Iterator[Service]:
    with service(tmp_path, checkpoint) as made:
        made.gateway()
        made.worker("one", program="tests.faults.fragile_worker", snapshots="broker")
        made.ready()
        yield made


async def test_a_session_that_ends_its_workers_is_closed_and_its_neighbour_goes_on(
    parts: Service, figures: Figures
) -> None:
    gateway, one = parts.parts
    assert isinstance(gateway, Gateway)
    async with (
        no_leak(gateway),
        user(gateway.url) as poisoned,
        user(gateway.url) as neighbour,
    ):
        assert parts.owner(poisoned.id) is parts.owner(neighbour.id) is one
        two = parts.worker("two", program="tests.faults.fragile_worker", snapshots="broker")
        await asyncio.to_thread(parts.ready)
        at = time.monotonic()
        poisoned.white = True  # whatever worker sees it ends
        await asyncio.to_thread(one.process.wait, 60)
        await neighbour.until("lookback.session.moved", since=at)
        one.start()  # as its supervisor does; not sooner, or it might have one of the two
        await asyncio.to_thread(two.process.wait, 60)
        closed = await poisoned.until("lookback.session.closed", since=at)
        assert closed["reason"] == "crashed"
        assert "ended 2 workers in a row and was closed" in closed["message"]
        back = await neighbour.answered(at)
        moves = neighbour.events("lookback.session.moved", at)
        assert [moved["restored"] for moved in moves] == [True, True], "nothing of it is lost"
        assert not neighbour.events("lookback.session.closed")
        two.start()
        async with user(gateway.url) as new:
            assert (await new.ask("what is it")).text
        assert one.process.poll() is None, "it did not take the poison"
        assert not parts.broker.client.exists(keys.former(poisoned.id))
    figures.note(
        "a session ends the process of its worker, and of the next",
        "its user: `lookback.session.closed` (`crashed`) the second time; others of "
        "these workers: `moving`, `moved`, twice",
        back,
        "that session, and what the others saw since their latest snapshots",
    )
