"""ffmpeg sends RTP as the documentation has it, and OpenAI's client asks `lookback serve`."""

import asyncio
import shutil
from pathlib import Path

import httpx
from openai import AsyncOpenAI

from tests.lookback.conftest import serving
from tests.server.rtp_commands import BLOCKS, documented, running


async def _frames_seen(http: httpx.AsyncClient, session: str) -> int:
    memory = (await http.get(f"/v1/sessions/{session}")).json()["memory"]
    return memory["frames_seen"] if memory else 0


async def test_a_sender_of_rtp_and_an_asker_meet(model: Path, clip: Path, tmp_path: Path) -> None:
    shutil.copy(clip, tmp_path / "clip.mp4")
    with serving(model, tmp_path) as service:
        async with httpx.AsyncClient(base_url=service.url, trust_env=False, timeout=30) as http:
            session = (await http.post("/v1/sessions")).json()["id"]
            with running(documented(BLOCKS[0], service.url, session), tmp_path) as sender:
                async with asyncio.timeout(60):
                    while not await _frames_seen(http, session):
                        assert sender.poll() in (None, 0), (tmp_path / "said").read_text()
                        await asyncio.sleep(0.1)
                asking = AsyncOpenAI(base_url=f"{service.url}/v1", api_key="none")
                answer = await asking.chat.completions.create(
                    model=session,
                    messages=[{"role": "user", "content": "what did you see?"}],
                    max_tokens=8,
                )
                await asking.close()
                assert answer.choices[0].finish_reason in ("stop", "length")
