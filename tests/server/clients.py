"""Clients of a gateway: pictures, a camera of aiortc's, and a websocket that speaks events."""

import asyncio
import base64
import contextlib
import io
import json
import time
from collections.abc import AsyncIterator, Callable
from fractions import Fraction
from typing import Any

import httpx
import msgspec
import numpy as np
from aiortc import (
    MediaStreamTrack,
    RTCConfiguration,
    RTCPeerConnection,
    RTCRtpSender,
    RTCSessionDescription,
)
from av import VideoFrame
from PIL import Image
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as connect_websocket

from server.server_events import RealtimeEvent


def picture(level: int, kind: str = "JPEG", size: tuple[int, int] = (64, 48)) -> bytes:
    """A file of one grey. size: (width, height)."""
    buffer = io.BytesIO()
    Image.fromarray(np.full((size[1], size[0], 3), level, np.uint8)).save(buffer, kind)
    return buffer.getvalue()


def data_url(level: int = 90, size: tuple[int, int] = (64, 48)) -> str:
    """The same in a URL."""
    return f"data:image/png;base64,{base64.b64encode(picture(level, 'PNG', size)).decode()}"


class MovingPicture(MediaStreamTrack):
    """A track that shows another grey in each frame. size: (width, height)."""

    kind = "video"

    def __init__(self, fps: float, size: tuple[int, int]) -> None:
        super().__init__()
        self.fps = fps
        self.size = size
        self.still = False
        self.going = asyncio.Event()
        self.going.set()
        self.shown: list[tuple[float, int]] = []
        """Of each frame when it was made, in Unix seconds, and its grey."""
        self.transport: Any = None
        self._count = 0
        self._began = time.monotonic()

    def vanish(self) -> None:
        """As of a killed browser: no packet comes any more, and no report."""

        async def lose(packet: bytes) -> None:
            """Where it goes, nobody knows."""

        assert self.transport is not None, "it is not being sent"
        self.transport._send_rtp = lose

    async def recv(self) -> VideoFrame:
        self._count += 1
        await asyncio.sleep(max(0.0, self._began + self._count / self.fps - time.monotonic()))
        await self.going.wait()
        width, height = self.size
        level = 80 if self.still else self._count * 7 % 199
        frame = VideoFrame.from_ndarray(np.full((height, width, 3), level, np.uint8), "rgb24")
        frame.pts = int((time.monotonic() - self._began) * 90000)
        frame.time_base = Fraction(1, 90000)
        self.shown.append((time.time(), level))
        return frame


@contextlib.asynccontextmanager
async def sending(
    url: str,
    session: str,
    *,
    fps: float = 20,
    size: tuple[int, int] = (160, 120),
    codec: str = "video/VP8",
) -> AsyncIterator[MovingPicture]:
    """A camera of aiortc's, connected to the session."""
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    track = MovingPicture(fps, size)
    transceiver = peer.addTransceiver(track, direction="sendonly")
    able = RTCRtpSender.getCapabilities("video").codecs
    transceiver.setCodecPreferences([one for one in able if one.mimeType == codec])
    try:
        await peer.setLocalDescription(await peer.createOffer())
        offer = {"sdp": peer.localDescription.sdp, "type": "offer"}
        async with httpx.AsyncClient() as client:
            reply = await client.post(f"{url}/v1/sessions/{session}/offer", json=offer)
        assert reply.status_code == 200, reply.text
        answer = reply.json()
        await peer.setRemoteDescription(RTCSessionDescription(answer["sdp"], answer["type"]))
        track.transport = transceiver.sender.transport
        yield track
    finally:
        await peer.close()


def new_session(url: str, **wanted: Any) -> str:
    reply = httpx.post(f"{url}/v1/sessions", json=wanted)
    assert reply.status_code == 201, reply.text
    identity: str = reply.json()["id"]
    return identity


class Client:
    """A websocket that speaks events."""

    def __init__(self, websocket: ClientConnection, session: str) -> None:
        self.websocket = websocket
        self.session = session
        self.events: list[dict[str, Any]] = []

    async def send(self, event: dict[str, Any] | str | bytes) -> None:
        await self.websocket.send(json.dumps(event) if isinstance(event, dict) else event)

    async def ask(self, text: str, **options: Any) -> None:
        content = [{"type": "input_text", "text": text}]
        item = {"type": "message", "role": "user", "content": content}
        await self.send({"type": "conversation.item.create", "item": item, "event_id": "q"})
        await self.send({"type": "response.create", "response": options, "event_id": "r"})

    async def until(self, kind: str, test: Callable[[Any], bool] = lambda e: True) -> Any:
        """Reads on to the next event of this type that passes the test."""
        async with asyncio.timeout(60):
            while True:
                event = json.loads(await self.websocket.recv())
                msgspec.convert(event, RealtimeEvent)  # as docs/asyncapi.json describes it
                self.events.append(event)
                if event["type"] == kind and test(event):
                    return event

    async def error(self) -> dict[str, Any]:
        error: dict[str, Any] = (await self.until("error"))["error"]
        return error


@contextlib.asynccontextmanager
async def talking(url: str, session: str, after: str | None = None) -> AsyncIterator[Client]:
    address = f"{url.replace('http', 'ws')}/v1/realtime?session={session}"
    if after is not None:
        address += f"&after={after}"
    async with connect_websocket(address) as websocket:
        yield Client(websocket, session)


async def eventually(test: Callable[[], Any], seconds: float = 60) -> Any:
    """The first true value of the test, which is tried again until then."""
    deadline = time.monotonic() + seconds
    while not (value := test()):
        assert time.monotonic() < deadline, "it did not come about in time"
        await asyncio.sleep(0.02)
    return value
