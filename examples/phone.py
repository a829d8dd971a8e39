"""Asks what somebody else's camera has seen: python examples/phone.py SESSION [QUESTION]"""

import asyncio
import os
import sys

from lookback_client import Lookback

URL = os.environ.get("LOOKBACK_URL", "http://127.0.0.1:8400")
TOKEN = os.environ.get("LOOKBACK_TOKEN")  # from whoever made the session


async def main(session_id: str, question: str = "What is it now?") -> None:
    async with Lookback(URL) as lookback, lookback.join(session_id, token=TOKEN) as session:
        async for piece in session.ask(question):
            print(piece, end="", flush=True)
        print(flush=True)


asyncio.run(main(*sys.argv[1:]))
