"""A camera whose pictures are pulled from it by RTSP, again and again while its session lives.

Knows nothing about HTTP. Of the URL only host and port are ever logged.
"""

import asyncio
import logging
import random
import secrets
import time
from typing import Any, Final

from av import VideoFrame

from server.cameras import Kind, State
from server.rtp_packet import MalformedPacket, goodbyes
from server.rtsp_client import CameraFailed, LoginRefused, RtspClient, connect
from server.rtsp_hosts import LookupFailed, reachable
from server.rtsp_messages import MalformedReply
from server.rtsp_stream import RtspStream
from server.rtsp_url import RtspUrl
from server.session import Session
from server.settings import GatewaySettings
from server.tasks import stop

log = logging.getLogger(__name__)

_OPEN_SECONDS: Final = 10.0
_FIRST_DELAY_SECONDS: Final = 1.0
_LONGEST_DELAY_SECONDS: Final = 30.0
_JITTER: Final = 0.25
_WORKED_SECONDS: Final = 10.0
_MOST_LOGINS: Final = 3
_LOOK_SECONDS: Final = 0.25
_TEXT_CHARACTERS: Final = 200


class RtspCamera:
    """One camera. While it is not gone, somebody needs the session: it was set up to be
    watched."""

    def __init__(self, session: Session, settings: GatewaySettings, url: RtspUrl) -> None:
        self._session = session
        self._settings = settings
        self._url = url
        self._pulling: asyncio.Task[None] | None = None
        self._picture_at: float | None = None
        self._live_at: float | None = None
        self.id: Final = secrets.token_urlsafe(16)
        """Names it in URLs."""
        self.kind: Kind = "rtsp"
        self.state: State = "connecting"
        self.why = ""

    def described(self) -> dict[str, Any]:
        """Its state, and its URL without credentials."""
        url, message = self._url.shown, self.why
        return {"id": self.id, "url": url, "state": self.state, "message": message}

    async def begin(self) -> None:
        """Starts pulling, and waits for nothing."""
        self._pulling = asyncio.create_task(self._run(), name=f"RTSP of {self._session.name}")

    async def close(self, why: str = "it was closed") -> None:
        """Ends it; calling it twice does no harm."""
        self._become("gone", why)
        if self._pulling is not None:
            await stop(self._pulling)

    async def _run(self) -> None:
        with self._session.attendance.attended():
            try:
                await self._pull()
            except Exception:
                log.exception(
                    "session %s: the camera at %s failed", self._session.name, self._url.place
                )
                self._become("gone", "something went wrong in the gateway; its log says what")
            # Whoever set it up may correct it.
            self._session.attendance.left(self._settings.return_seconds)

    async def _pull(self) -> None:
        failures = logins = 0
        while True:
            self._live_at = None
            try:
                await self._attempt()
            except LoginRefused as error:
                why = str(error)
                logins = 1 if self._worked else logins + 1
                if logins == _MOST_LOGINS or self._url.credentials is None:
                    self._give_up(why)
                    return
            except (CameraFailed, LookupFailed, MalformedReply) as error:
                why = str(error)
            except TimeoutError:
                why = f"it does not answer within {_OPEN_SECONDS:g} s"
            except EOFError:
                why = "it has ended the connection"
            except OSError as error:
                why = f"the connection was lost ({error.strerror or type(error).__name__})"
            failures = 1 if self._worked else failures + 1
            delay = delay_seconds(failures)
            self._wait(why, delay)
            await asyncio.sleep(delay)

    @property
    def _worked(self) -> bool:
        """Whether the last connection was good for a while."""
        return self._live_at is not None and time.monotonic() - self._live_at > _WORKED_SECONDS

    async def _attempt(self) -> None:
        """One connection, to its end. Raises what says why it has ended."""
        addresses = await reachable(self._url, self._settings.rtsp_hosts)
        client = await connect(self._url, addresses)
        try:
            async with asyncio.timeout(_OPEN_SECONDS):
                track = await client.describe()
                channel = await client.play(track)
            log.info("session %s: %s plays %s", self._session.name, self._url.place, track.codec)
            self._session.feed.new_track()
            stream = RtspStream(track, self._settings.picture_pixels, self._decoded)
            try:
                await self._watch(client, stream, channel)
            finally:
                stream.close()
        finally:
            client.close()

    async def _watch(self, client: RtspClient, stream: RtspStream, channel: int) -> None:
        settings = self._settings
        self._picture_at = None
        began = looked_at = time.monotonic()
        try:
            async with asyncio.timeout(settings.stall_seconds) as silence:
                while True:
                    packet = await client.packet()
                    if packet.channel == channel + 1 and _says_goodbye(packet.data):
                        raise CameraFailed("it has ended the stream")
                    if packet.channel != channel or not stream.take(packet.data):
                        continue
                    now = time.monotonic()
                    if now - looked_at < _LOOK_SECONDS:
                        continue
                    looked_at = now
                    if stream.failed:
                        raise CameraFailed(stream.trouble)
                    silence.reschedule(asyncio.get_running_loop().time() + settings.stall_seconds)
                    unseen = now - (self._picture_at or began)
                    if unseen > settings.connect_seconds:
                        raise CameraFailed(stream.trouble)
                    if unseen > settings.stall_seconds:
                        self._lack(f"The camera shows nothing: {stream.trouble}.")
        except TimeoutError:
            raise CameraFailed(f"it has sent nothing for {settings.stall_seconds:g} s") from None

    def _decoded(self, picture: VideoFrame) -> None:
        if self.state == "gone":
            return
        self._picture_at = time.monotonic()
        self._live_at = self._live_at or self._picture_at
        self._session.feed.offer(picture)
        self._become("live")

    def _wait(self, why: str, delay: float) -> None:
        why = why[:_TEXT_CHARACTERS]
        log.info("session %s: %s: %s", self._session.name, self._url.place, why)
        self._lack(f"The camera cannot be seen: {why}. It is tried again in {delay:.0f} s.")

    def _lack(self, why: str) -> None:
        """There is no picture, for a while."""
        self._become("connecting" if self.state == "connecting" else "stalled", why)

    def _give_up(self, why: str) -> None:
        log.warning("session %s: %s is given up: %s", self._session.name, self._url.place, why)
        if self._url.credentials is not None:
            why += (
                f". It was tried {_MOST_LOGINS} times; more attempts could lock the account, so "
                "start it anew with the right ones"
            )
        self._become("gone", f"The camera cannot be seen: {why}.")

    def _become(self, state: State, why: str = "") -> None:
        if self.state != "gone" and (self.state, self.why) != (state, why):
            self.state, self.why = state, why
            self._session.cameras.changed(self)


def delay_seconds(failures: int) -> float:
    """How long to wait after so many failures in a row, one at least: each time twice as long, up
    to half a minute, and never exactly as long as others who wait for the same camera."""
    doublings = min(failures - 1, 16)  # it may fail for days
    seconds = min(_FIRST_DELAY_SECONDS * 2.0**doublings, _LONGEST_DELAY_SECONDS)
    return seconds * random.uniform(1 - _JITTER, 1 + _JITTER)


def _says_goodbye(data: bytes) -> bool:
    try:
        return bool(goodbyes(data))
    except MalformedPacket:
        return False
