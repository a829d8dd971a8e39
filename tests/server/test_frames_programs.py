"""The examples of docs/cameras.md without WebRTC, run as they stand there."""

import asyncio
import io
import re
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from playwright.async_api import async_playwright

from tests.server.programs import chromium

CAMERAS = Path(__file__).parent.parent.parent / "docs" / "cameras.md"


def example(language: str, about: str) -> str:
    blocks = re.findall(rf"```{language}\n(.*?)```", CAMERAS.read_text(), flags=re.DOTALL)
    [found] = [block for block in blocks if about in block]
    return found


def picture(number: int) -> bytes:
    buffer = io.BytesIO()
    pixels = np.random.default_rng(number).integers(0, 256, (96, 96, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(buffer, "JPEG")
    return buffer.getvalue()


def seen(worker: Any, session: str) -> list[Any]:
    return [frame for frame in list(worker.frames) if frame.session == session]


async def test_a_script_publishes_a_folder(
    gateway: str, worker: Any, tools: Any, tmp_path: Path
) -> None:
    session = tools.new_session(gateway)
    for number in range(4):
        (tmp_path / f"{number}.jpg").write_bytes(picture(number))
    names: dict[str, Any] = {}
    exec(example("python", "async def publish"), names)
    address = f"{gateway.replace('http', 'ws')}/v1/sessions/{session}/frames"
    await names["publish"](address, str(tmp_path))
    await tools.eventually(lambda: len(seen(worker, session)) == 2)
    assert 0.9 < seen(worker, session)[1].timestamp < 1.5


async def test_a_page_publishes_a_canvas(gateway: str, worker: Any, tools: Any) -> None:
    session = tools.new_session(gateway)
    address = f"{gateway.replace('http', 'ws')}/v1/sessions/{session}/frames"
    draw = """
        const canvas = document.createElement("canvas");
        setInterval(() => {
          const context = canvas.getContext("2d");
          context.fillStyle = `rgb(${Math.random() * 255} 90 20)`;
          context.fillRect(0, 0, canvas.width, canvas.height);
        }, 200);
    """
    arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium(), args=arguments)
        page = await browser.new_page()
        await page.goto(f"{gateway}/health")
        script = f"(address) => {{ {draw} {example('js', 'new WebSocket')} }}"
        await page.evaluate(script, address)
        await tools.eventually(lambda: len(seen(worker, session)) > 2, 30)
        await browser.close()


async def test_a_script_asks_about_a_picture(gateway: str, worker: Any, tools: Any) -> None:
    session = tools.new_session(gateway)
    names: dict[str, Any] = {}
    exec(example("python", "def ask"), names)
    answer = await asyncio.to_thread(
        names["ask"], f"{gateway}/v1", session, picture(0), "what is it?"
    )
    assert answer == "what is it?" and len(seen(worker, session)) == 1
