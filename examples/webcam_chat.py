"""Chat about what a webcam sees: python examples/webcam_chat.py [CAMERA'S NUMBER or VIDEO FILE]"""

import asyncio
import os
import sys

from lookback_client import Camera, File, Lookback, LookbackError

URL = os.environ.get("LOOKBACK_URL", "http://127.0.0.1:8400")
KEY = os.environ.get("LOOKBACK_API_KEY")  # only where the gateway asks for one


async def main(source: str = "0") -> None:
    camera = Camera(int(source)) if source.isdigit() else File(source, loop=True)
    async with Lookback(URL, api_key=KEY) as lookback, lookback.session() as session:
        await session.publish(camera)
        print("Ask about anything that the camera has seen; an empty line ends.", flush=True)
        while question := (await asyncio.to_thread(sys.stdin.readline)).strip():
            try:
                async for piece in session.ask(question):
                    print(piece, end="", flush=True)
                print(flush=True)
            except LookbackError as error:
                print(error, flush=True)


asyncio.run(main(*sys.argv[1:]))
