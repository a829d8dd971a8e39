"""OpenAI's own client asks a session: python examples/openai_client.py SESSION [QUESTION]"""

import os
import sys

from openai import OpenAI

URL = os.environ.get("LOOKBACK_URL", "http://127.0.0.1:8400")
KEY = os.environ.get("LOOKBACK_TOKEN") or os.environ.get("LOOKBACK_API_KEY") or "none"


def main(session_id: str, question: str = "What is it now?") -> None:
    client = OpenAI(base_url=f"{URL}/v1", api_key=KEY)
    stream = client.chat.completions.create(
        model=session_id, messages=[{"role": "user", "content": question}], stream=True
    )
    for chunk in stream:
        print(chunk.choices[0].delta.content or "", end="", flush=True)
    print(flush=True)


main(*sys.argv[1:])
