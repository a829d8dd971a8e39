"""Frames by websocket, from senders without WebRTC: binary messages of one picture each.

A message is the picture's time in seconds, as an 8-byte big-endian IEEE 754 double, and then a
JPEG, PNG or WebP file. Knows nothing about questions.
"""

import asyncio
import contextlib
import logging
import math
import struct
import time
from typing import Any, Final

from starlette.websockets import WebSocket, WebSocketDisconnect

from server.access import Caller, accept
from server.broadcast import Event
from server.cameras import Kind, State
from server.errors import ClientError, error_event
from server.rate import Rate
from server.realtime import UNKNOWN_SESSION, say
from server.session import Session
from server.sessions import Sessions
from server.settings import GatewaySettings
from server.stills import FORMATS, still
from server.tasks import stop

log = logging.getLogger(__name__)

HEADER: Final = struct.Struct(">d")
REPLACED: Final = 4409
_NORMAL: Final = 1000
_TRY_AGAIN: Final = 1013
_LOOK_SECONDS: Final = 0.25
_COUNTERS_SECONDS: Final = 1.0
_CLOSE_SECONDS: Final = 5.0


async def publish(
    websocket: WebSocket,
    caller: Caller,
    sessions: Sessions,
    identity: str,
    *,
    acks: bool = False,
) -> None:
    """Serves one sender until it goes, is replaced, or the session ends. acks: it wants to hear
    of its counters, too."""
    await accept(websocket)
    try:
        session = await sessions.find(identity, caller)
        sessions.admit_camera(session)
        sender = FramesSocket(websocket, session, sessions.settings, acks)
        await session.publish(sender, sender.begin)
    except ClientError as error:
        unknown = error.status == 404
        with contextlib.suppress(RuntimeError, WebSocketDisconnect):  # it may have gone
            await say(websocket, error_event(error, None))
            await websocket.close(UNKNOWN_SESSION if unknown else _TRY_AGAIN, error.code)
        return
    with session.attendance.attended():
        try:
            await sender.run()
        finally:
            await sender.close()


class FramesSocket:
    """A session's camera that is a websocket."""

    def __init__(
        self, websocket: WebSocket, session: Session, settings: GatewaySettings, acks: bool
    ) -> None:
        self._websocket = websocket
        self._session = session
        self._settings = settings
        self._feed = session.feed
        self._rate = Rate(settings.pictures_per_second, settings.pictures_per_second)
        self._complained_at = float("-inf")
        self._time = float("-inf")
        self._frame_at = time.monotonic()
        self._acks = acks
        self._ended = asyncio.Event()
        self.kind: Kind = "frames"
        self.state: State = "connecting"
        self.why = ""

    async def begin(self) -> None:
        """Its times say nothing about those of the camera before."""
        self._feed.new_track()
        await self._send(
            {
                "type": "lookback.frames.ready",
                "session": {"id": self._session.id},
                "limits": {
                    "picture_bytes": self._settings.picture_bytes,
                    "picture_pixels": self._settings.picture_pixels,
                    "pictures_per_second": self._settings.pictures_per_second,
                    "formats": [f"image/{name.lower()}" for name in FORMATS],
                },
                "sampled_per_second": self._settings.fps,
            }
        )

    async def run(self) -> None:
        """Until the sender goes or another takes its place."""
        hearing = asyncio.create_task(self._hear())
        telling = asyncio.create_task(self._tell())
        ended = asyncio.create_task(self._ended.wait())
        try:
            await asyncio.wait({hearing, telling, ended}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await stop(hearing, telling, ended)
            for outcome in await asyncio.gather(hearing, telling, return_exceptions=True):
                if isinstance(outcome, Exception) and not isinstance(outcome, WebSocketDisconnect):
                    log.error("session %s: a sender failed", self._session.name, exc_info=outcome)
            replaced = self._ended.is_set()
            self._become("gone", "the frames websocket has ended")
            # The client may have gone first.
            with contextlib.suppress(RuntimeError, WebSocketDisconnect, TimeoutError):
                async with asyncio.timeout(_CLOSE_SECONDS):
                    await self._websocket.close(
                        REPLACED if replaced else _NORMAL,
                        "another camera took over, or the session was closed" if replaced else "",
                    )

    async def close(self) -> None:
        """Ends it; calling it twice does no harm."""
        self._become("gone", "another camera took over, or the session was closed")
        self._ended.set()

    async def _hear(self) -> None:
        while True:
            message = await self._websocket.receive()
            if message["type"] == "websocket.disconnect":
                return
            try:
                self._take(message.get("bytes"))
            except ClientError as error:
                await self._complain(error)

    def _take(self, message: bytes | None) -> None:
        """One message. Raises ClientError, and then nothing of it is used."""
        if message is None:
            raise ClientError(
                "text_message", "Frames are binary messages: 8 bytes of time, then the picture."
            )
        if not self._rate.allows():
            raise ClientError(
                "too_many_pictures",
                f"Send at most {self._settings.pictures_per_second:g} pictures a second; "
                f"{self._settings.fps:g} a second are used.",
                status=429,
            )
        if len(message) <= HEADER.size:
            raise ClientError(
                "invalid_frame", "A message is 8 bytes of time (a big-endian double), then a file."
            )
        (at,) = HEADER.unpack_from(message)
        if not math.isfinite(at):
            raise ClientError("invalid_time", f"The time of a frame is in seconds, not {at}.")
        if at <= self._time:
            raise ClientError(
                "time_not_rising",
                f"A frame's time must be later than the one before: {at:g} follows {self._time:g}.",
            )
        frame = still(message[HEADER.size :], self._settings)
        self._time = at
        self._frame_at = time.monotonic()
        self._feed.offer(frame, at)
        self._become("live")

    async def _complain(self, error: ClientError) -> None:
        # A sender that does everything wrong is told so once in a while, not sixty times a second.
        now = time.monotonic()
        if now - self._complained_at >= _COUNTERS_SECONDS / 4:
            self._complained_at = now
            await self._send(error_event(error, None))

    async def _tell(self) -> None:
        """The state when it has changed, and the counters once a second for those who ask: what
        a sender does not read holds up the answers to its pings."""
        told: dict[str, Any] = {}
        told_at = float("-inf")
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            now = time.monotonic()
            if now - self._frame_at > self._settings.stall_seconds:
                self._become("stalled")
            camera = self._session.cameras.described()
            late = self._acks and camera != told and now - told_at >= _COUNTERS_SECONDS
            if camera["state"] != told.get("state") or late:
                told, told_at = camera, now
                await self._send({"type": "lookback.camera.updated", "camera": camera})

    def _become(self, state: State, why: str = "") -> None:
        if self.state not in (state, "gone"):
            self.state, self.why = state, why
            self._session.cameras.changed(self)

    async def _send(self, event: Event) -> None:
        await say(self._websocket, event)
