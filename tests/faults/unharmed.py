"""That a fault elsewhere does not touch a session, nor leave anything behind at a gateway."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

from tests.faults.part import Gateway
from tests.faults.user import User

_BAD = ("lookback.session.moving", "lookback.session.moved", "lookback.session.closed", "error")
SETTLE_SECONDS = 30.0


@contextlib.asynccontextmanager
async def unharmed(bystander: User) -> AsyncIterator[None]:
    """Asked before and after, it answers, keeps what it has seen, and is told of nothing."""
    since = time.monotonic()
    await bystander.ask("before")
    frames = await bystander.frames()
    yield
    assert (await bystander.ask("after")).status == "incomplete"
    assert await bystander.frames() >= frames
    told = [event for kind in _BAD for event in bystander.events(kind, since)]
    assert not told, told


@contextlib.asynccontextmanager
async def no_leak(gateway: Gateway) -> AsyncIterator[None]:
    """When the sessions of the block have ended, the gateway has as many tasks and descriptors as
    before."""
    tasks, descriptors = await asyncio.to_thread(gateway.tasks), gateway.descriptors
    yield
    until = time.monotonic() + SETTLE_SECONDS
    while True:
        left = await asyncio.to_thread(gateway.tasks)
        # The broker's client keeps connections for as many sessions as there were at once.
        if len(left) <= len(tasks) and gateway.descriptors <= descriptors + 12:
            return
        assert time.monotonic() < until, (left, descriptors, gateway.descriptors)
        await asyncio.sleep(0.2)
