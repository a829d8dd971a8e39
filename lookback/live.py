"""A client of a running service: a clip played as a camera over WebRTC, questions by websocket."""

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import av
import httpx
from aiortc import (
    MediaStreamTrack,
    RTCConfiguration,
    RTCPeerConnection,
    RTCSessionDescription,
)
from aiortc.mediastreams import MediaStreamError
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException

import server.camera  # noqa: F401  # has aioice offer 127.0.0.1 where that is the only address

ANSWER_SECONDS: Final = 120.0
CONNECT_SECONDS: Final = 20.0


class LiveError(RuntimeError):
    """The service refused, or ended the session; the message is the service's own."""


class ClipTrack(MediaStreamTrack):  # type: ignore[misc]  # aiortc comes without types
    """A clip's pictures at the pace and with the presentation times of its file."""

    kind = "video"

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._frames = _pictures(path)
        self._first: float | None = None
        self._began = asyncio.Event()
        self._began_at = 0.0

    async def recv(self) -> av.VideoFrame:
        """The next picture when its time has come. Raises MediaStreamError after the last."""
        frame = await asyncio.to_thread(next, self._frames, None)
        if frame is None or self.readyState != "live":
            self.stop()
            raise MediaStreamError
        now = asyncio.get_running_loop().time()
        if self._first is None:
            self._first, self._began_at = frame.time or 0.0, now
            self._began.set()
        await asyncio.sleep(self._began_at + (frame.time or 0.0) - self._first - now)
        return frame

    @property
    def seconds(self) -> float:
        """How much has been played."""
        if not self._began.is_set():
            return 0.0
        return asyncio.get_running_loop().time() - self._began_at

    async def reached(self, seconds: float) -> None:
        """Returns when so much has been played."""
        await self._began.wait()
        await asyncio.sleep(seconds - self.seconds)


@dataclass
class Reply:
    """An answer, as it came. ttft_seconds: from sending the question to the first text here."""

    text: str
    status: str
    ttft_seconds: float | None
    lookback: dict[str, Any] = field(default_factory=dict)
    message: str = ""


class LiveSession:
    """One session of the service at `url`, for `async with`; the track plays while it is open.

    Raises LiveError where the service refuses.
    """

    def __init__(self, url: str, track: MediaStreamTrack) -> None:
        self._track = track
        self._http = httpx.AsyncClient(base_url=url, trust_env=False, timeout=30)
        self._peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self._events: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._socket: ClientConnection | None = None
        self._reader: asyncio.Task[None] | None = None
        self.session: dict[str, Any] = {}
        self.memory: dict[str, Any] = {}
        """The newest lookback.memory.updated."""
        self.camera: dict[str, Any] = {}
        """The newest lookback.camera.updated."""

    async def __aenter__(self) -> Self:
        try:
            self.session = await self._post("/v1/sessions", {})
            base = str(self._http.base_url).rstrip("/").replace("http", "ws", 1)
            address = f"{base}/v1/realtime?session={self.session['id']}"
            try:
                self._socket = await connect(address, proxy=None)
            except (OSError, WebSocketException) as error:
                raise LiveError(f"{address} does not answer ({error}).") from error
            self._reader = asyncio.create_task(self._read(self._socket))
            async with asyncio.timeout(CONNECT_SECONDS):
                await self._publish()
        except BaseException:
            await self._leave()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.session:
            with suppress(httpx.HTTPError):  # without us it ends a little later
                await self._http.delete(f"/v1/sessions/{self.session['id']}")
        await self._leave()

    async def ask(self, question: str) -> Reply:
        """The whole answer. Raises LiveError where the question is refused or the session ends."""
        assert self._socket is not None
        asked_at, first, text = time.monotonic(), None, ""
        content = [{"type": "input_text", "text": question}]
        item = {"type": "message", "role": "user", "content": content}
        await self._socket.send(json.dumps({"type": "conversation.item.create", "item": item}))
        await self._socket.send(json.dumps({"type": "response.create"}))
        async with asyncio.timeout(ANSWER_SECONDS):
            while True:
                event = await self._events.get()
                if event["type"] == "response.output_text.delta":
                    first = first or time.monotonic() - asked_at
                    text += event["delta"]
                elif event["type"] == "response.done":
                    response = event["response"]
                    details = response.get("status_details") or {}
                    return Reply(
                        text,
                        response["status"],
                        first,
                        response.get("lookback", {}),
                        details.get("message", ""),
                    )
                elif event["type"] == "error":
                    raise LiveError(event["error"]["message"])
                elif event["type"] == "lookback.session.closed":
                    raise LiveError(event.get("message") or f"closed: {event.get('reason')}")

    async def _publish(self) -> None:
        """Send the track; returns when the connection stands."""
        connected = asyncio.Event()

        def changed() -> None:
            if self._peer.connectionState == "connected":
                connected.set()

        self._peer.on("connectionstatechange", changed)
        self._peer.addTrack(self._track)
        await self._peer.setLocalDescription(await self._peer.createOffer())
        offer = {"sdp": self._peer.localDescription.sdp, "type": "offer"}
        answer = await self._post(f"/v1/sessions/{self.session['id']}/offer", offer)
        await self._peer.setRemoteDescription(RTCSessionDescription(answer["sdp"], "answer"))
        await connected.wait()

    async def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        try:
            response = await self._http.post(path, json=body)
        except httpx.HTTPError as error:
            raise LiveError(f"{self._http.base_url} does not answer ({error}).") from error
        if response.is_error:
            raise LiveError(f"{path}: {response.status_code} {response.text}")
        answer: dict[str, Any] = response.json()
        return answer

    async def _read(self, socket: ClientConnection) -> None:
        try:
            async for message in socket:
                event = json.loads(message)
                if event["type"] == "lookback.memory.updated":
                    self.memory = event["memory"]
                elif event["type"] == "lookback.camera.updated":
                    self.camera = event["camera"]
                else:
                    await self._events.put(event)
        except ConnectionClosed as error:
            closed = {"type": "lookback.session.closed", "message": f"The websocket ended: {error}"}
            await self._events.put(closed)

    async def _leave(self) -> None:
        self._track.stop()
        await self._peer.close()
        if self._reader is not None:
            self._reader.cancel()
        if self._socket is not None:
            await self._socket.close()
        await self._http.aclose()


def _pictures(path: Path) -> Iterator[av.VideoFrame]:
    with av.open(str(path)) as container:
        yield from container.decode(container.streams.video[0])
