"""A camera by WHIP and somebody who asks by websocket meet on one session of `lookback serve`."""

import asyncio
import json
import signal
from pathlib import Path
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect

from tests.lookback.conftest import serving
from tests.server.programs import gstreamer


async def _until(socket: ClientConnection, kind: str) -> Any:
    async with asyncio.timeout(60):
        while True:
            event = json.loads(await socket.recv())
            if event["type"] == kind:
                return event


async def test_a_publisher_and_an_asker_meet(model: Path, tmp_path: Path) -> None:
    content = [{"type": "input_text", "text": "what did you see?"}]
    item = {"type": "message", "role": "user", "content": content}
    with serving(model, tmp_path) as service:
        async with httpx.AsyncClient(base_url=service.url, trust_env=False, timeout=30) as http:
            session = (await http.post("/v1/sessions")).json()["id"]
            realtime = f"{service.url.replace('http', 'ws')}/v1/realtime?session={session}"
            with gstreamer(f"{service.url}/whip/{session}", "vp8") as camera:
                async with connect(realtime, proxy=None) as socket:
                    memory = (await _until(socket, "lookback.memory.updated"))["memory"]
                    assert memory["frames_seen"] >= 1
                    await socket.send(
                        json.dumps({"type": "conversation.item.create", "item": item})
                    )
                    options = {"max_output_tokens": 8}
                    await socket.send(json.dumps({"type": "response.create", "response": options}))
                    done = (await _until(socket, "response.done"))["response"]
                    assert done["status"] in ("completed", "incomplete")
                    assert done["lookback"]["span"]
                    camera.send_signal(signal.SIGINT)
                    said, _ = await asyncio.to_thread(camera.communicate, None, 20)
                    assert "DELETE 200" in said
                    state = (await http.get(f"/v1/sessions/{session}")).json()
                    assert state["camera"]["state"] == "gone"
                    assert state["memory"]["frames_seen"] >= 1
            assert (await http.delete(f"/v1/sessions/{session}")).status_code == 204
