"""Glasses that publish by WHIP and let a phone ask: python examples/glasses.py [CAMERA or FILE]

Glasses and encoders with WHIP of their own need only the address and a token with "publish".
"""

import asyncio
import os
import sys

from lookback_client import Camera, File, Lookback

URL = os.environ.get("LOOKBACK_URL", "http://127.0.0.1:8400")
KEY = os.environ.get("LOOKBACK_API_KEY")  # only where the gateway asks for one


async def main(source: str = "0") -> None:
    camera = Camera(int(source)) if source.isdigit() else File(source, loop=True)
    async with Lookback(URL, api_key=KEY) as lookback, lookback.session() as session:
        worn = await session.publish(camera, webrtc=True)
        phone = await session.token(["ask"], expires_in=3600)
        print("On the phone:", flush=True)
        print(f"LOOKBACK_TOKEN={phone.token} python examples/phone.py {session.id}", flush=True)
        await worn.wait()


asyncio.run(main(*sys.argv[1:]))
