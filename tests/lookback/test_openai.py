"""Clients without WebRTC against the real service: frames by websocket, OpenAI's package."""

import asyncio
import base64
import io
import json
import struct
from collections.abc import Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from openai import AsyncOpenAI, OpenAI
from PIL import Image
from websockets.asyncio.client import connect

from tests.lookback.conftest import Serving, serving


@pytest.fixture(scope="module")
def service(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with serving(model, tmp_path_factory.mktemp("openai")) as made:
        yield made


def opened(url: str) -> str:
    reply = httpx.post(f"{url}/v1/sessions", json={}, trust_env=False)
    assert reply.status_code == 201, reply.text
    identity: str = reply.json()["id"]
    return identity


def picture(number: int) -> bytes:
    buffer = io.BytesIO()
    pixels = np.random.default_rng(number).integers(0, 256, (96, 96, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(buffer, "WEBP", lossless=True)
    return buffer.getvalue()


@asynccontextmanager
async def robot(url: str, session: str, pictures: int) -> Any:
    """Has sent so many pictures, a second apart by their own clock, and stays."""
    address = f"{url.replace('http', 'ws')}/v1/sessions/{session}/frames?acks=true"
    async with connect(address, proxy=None) as websocket, asyncio.timeout(60):
        for number in range(pictures):
            await websocket.send(struct.pack(">d", 1.7e9 + number) + picture(number))
            while True:
                event = json.loads(await websocket.recv())
                assert event["type"] != "error", event
                if event.get("camera", {}).get("frames_sent", -1) > number:
                    break
        yield websocket


async def test_a_robot_sends_pictures_and_openais_client_asks(service: Serving) -> None:
    session = opened(service.url)
    async with (
        robot(service.url, session, 3),
        AsyncOpenAI(base_url=f"{service.url}/v1", api_key="none") as client,
    ):
        chat = client.chat.completions
        whole = await chat.create(
            model=session, messages=[{"role": "user", "content": "what is it?"}], max_tokens=6
        )
        stream = await chat.create(
            model=session,
            messages=[{"role": "user", "content": "where is it?"}],
            max_tokens=6,
            stream=True,
            stream_options={"include_usage": True},
        )
        chunks = [chunk async for chunk in stream]
        async with client.realtime.connect(model=session) as connection:
            content: Any = [{"type": "input_text", "text": "what is it?"}]
            item: Any = {"type": "message", "role": "user", "content": content}
            await connection.conversation.item.create(item=item)
            await connection.response.create(response={"max_output_tokens": 6})
            text = ""
            async for event in connection:
                if event.type == "response.output_text.delta":
                    text += event.delta
                elif event.type == "response.done":
                    response = event.response
                    break
    assert whole.choices[0].message.content and whole.usage is not None
    assert 0 < whole.usage.completion_tokens <= 6 < whole.usage.prompt_tokens
    assert (whole.model_extra or {})["lookback"]["span"] == [0.0, 2.0]
    told = "".join(chunk.choices[0].delta.content or "" for chunk in chunks[:-1])
    assert told and chunks[-1].usage is not None
    assert (chunks[-2].model_extra or {})["lookback"]["turns_kept"] == 1
    output: Any = (response.output or [None])[0]
    assert text == output.content[0].text and response.usage is not None
    assert (response.model_extra or {})["lookback"]["turns_kept"] == 2


def test_the_synchronous_client_asks_about_a_picture_of_its_own(service: Serving) -> None:
    session = opened(service.url)
    url = f"data:image/webp;base64,{base64.b64encode(picture(7)).decode()}"
    with OpenAI(base_url=f"{service.url}/v1", api_key="none") as client:
        [loaded] = client.models.list().data
        content: Any = [
            {"type": "image_url", "image_url": {"url": url}},
            {"type": "text", "text": "what is it?"},
        ]
        answer = client.chat.completions.create(
            model=session, messages=[{"role": "user", "content": content}], max_tokens=4
        )
    assert answer.model == loaded.id
    lookback = (answer.model_extra or {})["lookback"]
    assert lookback["span"] == [0.0, 0.0] and 0 <= lookback["newest_frame_age"] < 30
