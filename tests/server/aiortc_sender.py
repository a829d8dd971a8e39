"""A camera of aiortc's in a process of its own, which can be killed: URL, session, frames a second,
width and height. Says "connected" once it sends."""

import asyncio
import sys

from tests.server.clients import eventually, sending


async def main() -> None:
    url, session, fps, width, height = sys.argv[1:]
    size = int(width), int(height)
    async with sending(url, session, fps=float(fps), size=size) as track:
        await eventually(lambda: len(track.shown) > 2)
        print("connected", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
