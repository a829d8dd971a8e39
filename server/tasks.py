"""Ending background tasks for certain."""

import asyncio
from typing import Any, Final

_AGAIN_SECONDS: Final = 0.05


async def stop(*tasks: "asyncio.Task[Any]") -> None:
    """Cancels the tasks, other than the caller's own, and returns when they have ended.

    One cancel is not enough: redis-py loses one that arrives while it connects.
    """
    pending = {task for task in tasks if not task.done() and task is not asyncio.current_task()}
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=_AGAIN_SECONDS)
