"""Who has opened a session's port for RTP, and closes it."""

import asyncio
import time
from typing import Any

import httpx
import msgspec

from server.replies import RtpPort, RtpState

HTTP = httpx.Client()


class Rtp:
    """An RTP camera of a session, as its owner sees it."""

    def __init__(self, url: str, session: str, **wanted: Any) -> None:
        self.session = session
        self._at = f"{url}/v1/sessions/{session}"
        reply = HTTP.post(f"{self._at}/rtp", json=wanted)
        assert reply.status_code == 201, reply.text
        self.described = msgspec.convert(reply.json(), RtpPort)
        self.port = self.described.port
        assert reply.headers["Location"] == f"/v1/sessions/{session}/rtp/{self.described.id}"

    def close(self) -> int:
        return HTTP.delete(f"{self._at}/rtp/{self.described.id}").status_code

    def close_session(self) -> int:
        return HTTP.delete(self._at).status_code

    def state(self) -> RtpState:
        reply = HTTP.get(f"{self._at}/rtp/{self.described.id}")
        assert reply.status_code == 200, reply.text
        return msgspec.convert(reply.json(), RtpState)

    def camera(self) -> dict[str, Any]:
        reply = HTTP.get(self._at)
        assert reply.status_code == 200, reply.text
        camera: dict[str, Any] = reply.json()["camera"]
        return camera

    async def until(self, state: str, words: str = "", seconds: float = 20) -> dict[str, Any]:
        """The camera, once it is so."""
        deadline = time.monotonic() + seconds
        while True:
            camera = await asyncio.to_thread(self.camera)
            if camera["state"] == state and words in camera["message"]:
                return camera
            assert time.monotonic() < deadline, camera
            await asyncio.sleep(0.03)
