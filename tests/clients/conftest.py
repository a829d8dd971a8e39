"""The gateway's own fixtures: a real gateway, a real broker, a protocol peer for a worker."""

from collections.abc import AsyncIterator

import numpy as np
import pytest
from numpy.typing import NDArray

from lookback_client import Lookback, Session
from tests.server.clients import eventually
from tests.server.conftest import broker_url, gateway, serve, worker

__all__ = ["broker_url", "gateway", "serve", "worker"]


def picture(number: int) -> NDArray[np.uint8]:
    """Another one for each number."""
    return np.random.default_rng(number).integers(0, 256, (64, 96, 3), dtype=np.uint8)


async def shown(session: Session, count: int = 1) -> None:
    """Has the session see so many pictures, as far as they are sampled."""
    camera = await session.publish((picture(number) for number in range(count)), per_second=50)
    await camera.wait()
    await eventually(lambda: session.memory and session.memory["frames_seen"])


@pytest.fixture
async def lookback(gateway: str) -> AsyncIterator[Lookback]:
    async with Lookback(gateway) as client:
        yield client
