"""The gateway's own fixtures: a real gateway, a real broker, a protocol peer for a worker."""

from collections.abc import AsyncIterator
from pathlib import Path

import av
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


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds, 96x64 pixels at 10 frames a second, each of another grey."""
    path = tmp_path_factory.mktemp("clips") / "greys.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for number in range(20):
            pixels = np.full((64, 96, 3), 12 * number, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, "rgb24")))
        container.mux(stream.encode())
    return path
