"""A task that loses a cancellation is ended all the same."""

import asyncio

from server.tasks import stop


async def test_a_lost_cancellation_is_repeated() -> None:
    lost = 0

    async def stubborn() -> None:
        nonlocal lost
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                lost += 1
                if lost == 3:
                    raise

    task = asyncio.create_task(stubborn())
    await asyncio.sleep(0)
    await stop(task)
    assert task.cancelled() and lost == 3


async def test_ended_tasks_and_the_callers_own_are_left_alone() -> None:
    async def quick() -> None:
        own = asyncio.current_task()
        assert own is not None
        await stop(own)

    ended = asyncio.create_task(quick())
    await ended
    await stop(ended)
    assert not ended.cancelled()
