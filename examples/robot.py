"""A robot that shows what it sees and asks about it: python examples/robot.py [EVERY SECONDS]"""

import asyncio
import os
import sys
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from lookback_client import Lookback

URL = os.environ.get("LOOKBACK_URL", "http://127.0.0.1:8400")
KEY = os.environ.get("LOOKBACK_API_KEY")  # only where the gateway asks for one


def look() -> Iterator[NDArray[np.uint8]]:
    """In place of your camera's driver: a red ball that rolls. RGB [240, 320, 3]."""
    rows, columns = np.mgrid[:240, :320]
    for step in range(sys.maxsize):
        picture = np.full((240, 320, 3), 230, np.uint8)
        ball = (rows - 120) ** 2 + (columns - 7 * step % 320) ** 2 < 40**2
        picture[ball] = (200, 30, 30)
        yield picture


async def main(every: str = "10") -> None:
    async with Lookback(URL, api_key=KEY) as lookback, lookback.session() as session:
        await session.publish(look())  # one picture whenever the gateway wants one
        while True:
            answer = await session.ask("Where was the ball?")
            print(f"{answer.text} (seen: {answer.span} s)", flush=True)
            await asyncio.sleep(float(every))


asyncio.run(main(*sys.argv[1:]))
