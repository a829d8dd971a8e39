"""One browser's camera over WebRTC: answers its offer, drains its picture, notices its end.

Pictures go to a FrameFeed. Knows nothing about sessions, questions or the broker.
"""

import asyncio
import logging
import re
import time
from collections.abc import Callable
from typing import Any, Final, Literal

import aioice.ice
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.exceptions import OperationError
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from av import VideoFrame

from server.errors import ClientError
from server.feed import FrameFeed
from server.settings import GatewaySettings
from server.tasks import stop

log = logging.getLogger(__name__)

State = Literal["connecting", "live", "stalled", "gone"]
SDP_BYTES: Final = 65536
_MOST_MEDIA: Final = 8
_LOOK_SECONDS = 0.25
_GATHER_SECONDS = 10.0
_CLOSE_SECONDS = 5.0

_all_addresses = aioice.ice.get_host_addresses


def _host_addresses(use_ipv4: bool, use_ipv6: bool) -> list[str]:
    """aioice never offers 127.0.0.1; on a machine with no other address nothing else connects."""
    addresses: list[str] = _all_addresses(use_ipv4, use_ipv6)
    return addresses or ["127.0.0.1"]


aioice.ice.get_host_addresses = _host_addresses


class Camera:
    """One peer connection. changed: is called whenever `state` has changed."""

    def __init__(
        self, feed: FrameFeed, settings: GatewaySettings, changed: Callable[[], None]
    ) -> None:
        self._feed = feed
        self._settings = settings
        self._changed = changed
        # No public STUN server: nobody but the client learns of this connection.
        self._peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self._began = time.monotonic()
        self._frame_at: float | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._closing: asyncio.Task[None] | None = None
        self._watched = False
        self.state: State = "connecting"
        self.why = ""

    async def answer(self, sdp: str) -> str:
        """The answer to an offer, with all candidates. Raises ClientError for an offer that is
        none, has no picture, or only codecs that cannot be decoded here."""
        _check(sdp)
        self._peer.on("track", self._on_track)
        self._peer.on("connectionstatechange", self._on_connection)
        try:
            await self._set_offer(sdp)
            for transceiver in self._peer.getTransceivers():
                if transceiver.kind == "audio":
                    transceiver.direction = "inactive"
            if not self._watched:
                raise ClientError(
                    "offer_without_video",
                    "The offer sends no picture: add a video track that sends.",
                    param="sdp",
                )
            async with asyncio.timeout(_GATHER_SECONDS):
                await self._peer.setLocalDescription(await self._peer.createAnswer())
        except BaseException:
            await self.close()
            raise
        self._tasks.append(asyncio.create_task(self._watch()))
        answer: str = self._peer.localDescription.sdp
        return with_start_bitrate(answer, self._settings.start_kilobits)

    async def close(self) -> None:
        """Ends the connection; calling it twice does no harm."""
        self._end("it was closed")
        await stop(*self._tasks)
        await self._close_peer()

    async def _close_peer(self) -> None:
        # Once, and never cancelled: a second close of aiortc's waits for the first to finish.
        if self._closing is None:
            self._closing = asyncio.create_task(self._peer.close())
        await asyncio.wait({self._closing}, timeout=_CLOSE_SECONDS)

    async def _set_offer(self, sdp: str) -> None:
        # As the DTLS server we please both browsers and GStreamer, whose RSA certificate
        # aiortc's DTLS client does not accept.
        offer = sdp.replace("a=setup:actpass", "a=setup:active")
        try:
            await self._peer.setRemoteDescription(RTCSessionDescription(offer, "offer"))
        except OperationError as error:
            raise ClientError(
                "unsupported_codec",
                f"None of the offered codecs can be decoded here ({error}): "
                "offer VP8 or H.264 constrained baseline.",
                param="sdp",
                status=422,
            ) from error
        except Exception as error:
            # aiortc's parser lets whatever goes wrong inside come out: IndexError, KeyError,
            # AssertionError, ValueError. All of them mean that the text is no offer.
            log.info("broken offer: %s: %s", type(error).__name__, error)
            raise ClientError(
                "invalid_offer",
                f"The SDP cannot be read as a WebRTC offer ({type(error).__name__}: {error}).",
                param="sdp",
            ) from error

    def _on_track(self, track: MediaStreamTrack) -> None:
        first = track.kind == "video" and not self._watched
        if first:
            self._watched = True
            self._feed.new_track()
        self._tasks.append(asyncio.create_task(self._drain(track, first)))

    async def _drain(self, track: MediaStreamTrack, watched: bool) -> None:
        """Reads every frame at once, because aiortc queues unread ones without bound."""
        try:
            while True:
                frame = await track.recv()
                if watched and isinstance(frame, VideoFrame):
                    self._frame_at = time.monotonic()
                    self._feed.offer(frame)
                    self._become("live")
        except MediaStreamError:
            if watched:
                self._end("the picture has ended")

    async def _watch(self) -> None:
        """aiortc needs half a minute to see that a peer is dead, and never gives up connecting."""
        while self.state != "gone":
            await asyncio.sleep(_LOOK_SECONDS)
            now = time.monotonic()
            if self._frame_at is not None:
                if now - self._frame_at > self._settings.stall_seconds:
                    self._become("stalled")
            elif now - self._began > self._settings.connect_seconds:
                self._end("no picture arrived: no way between browser and server was found")
        await self._close_peer()

    def _on_connection(self) -> None:
        if self._peer.connectionState in ("failed", "closed"):
            self._end(f"the connection has {self._peer.connectionState}")

    def _become(self, state: State) -> None:
        if self.state not in (state, "gone"):
            self.state = state
            self._changed()

    def _end(self, why: str) -> None:
        if self.state != "gone":
            self.why = why
            self._become("gone")


def with_start_bitrate(sdp: str, kilobits: int) -> str:
    """The answer with a wish to start at this bitrate (kbit/s): without it Chromium starts at
    300 and shrinks the picture."""
    wish = f"x-google-start-bitrate={kilobits};x-google-min-bitrate={min(kilobits, 1000)}"
    lines: list[str] = []
    video = re.findall(r"^a=rtpmap:(\d+) (?:VP8|H264)/90000", sdp, flags=re.MULTILINE)
    with_fmtp = set(re.findall(r"^a=fmtp:(\d+) ", sdp, flags=re.MULTILINE))
    for line in sdp.splitlines():
        named = re.match(r"a=(rtpmap|fmtp):(\d+) ", line)
        if named and named[2] in video:
            if named[1] == "fmtp":
                line = f"{line};{wish}"
            elif named[2] not in with_fmtp:
                line = f"{line}\r\na=fmtp:{named[2]} {wish}"
        lines.append(line)
    return "\r\n".join(lines) + "\r\n"


def _check(sdp: Any) -> None:
    if len(sdp.encode("utf-8", "replace")) > SDP_BYTES:
        raise ClientError("offer_too_large", f"An offer has at most {SDP_BYTES} bytes.", status=413)
    if not sdp.startswith("v=0"):
        raise ClientError(
            "invalid_offer", "The SDP cannot be read: an offer begins with v=0.", param="sdp"
        )
    media = re.findall(r"^m=(\w+)", sdp, flags=re.MULTILINE)
    if len(media) > _MOST_MEDIA:
        raise ClientError(
            "invalid_offer", f"An offer has at most {_MOST_MEDIA} media sections.", param="sdp"
        )
    if "video" not in media:
        raise ClientError(
            "offer_without_video", "The offer has no video: add a video track.", param="sdp"
        )
