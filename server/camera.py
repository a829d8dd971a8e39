"""One camera over WebRTC: answers its offer, drains its picture, notices its end.

Pictures go to a FrameFeed. Knows nothing about sessions, questions or the broker.
"""

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Iterable
from typing import Final, Literal

from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.exceptions import OperationError
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from av import VideoFrame

from server import receiving
from server.errors import ClientError
from server.feed import FrameFeed
from server.gathering import announced, confine
from server.ice import IceServers
from server.sdp import (
    MOST_CANDIDATES,
    check,
    check_sections,
    has_address,
    prepared,
    read_candidate,
    values,
    with_start_bitrate,
)
from server.settings import GatewaySettings
from server.tasks import stop

log = logging.getLogger(__name__)

State = Literal["connecting", "live", "stalled", "gone"]
_LOOK_SECONDS = 0.25
_GATHER_SECONDS = 10.0
_CLOSE_SECONDS = 5.0
# Without a picture for so long, nothing moves before the camera, or the camera is gone.
_STILL_SECONDS = 1.0

receiving.install()


class Camera:
    """One peer connection. changed: is called whenever `state` has changed."""

    def __init__(
        self, feed: FrameFeed, settings: GatewaySettings, changed: Callable[[], None]
    ) -> None:
        self._feed = feed
        self._settings = settings
        self._changed = changed
        # No public STUN server: nobody but the client learns of this connection, and a TURN server
        # that is configured.
        servers = IceServers(settings).own()
        self._peer = RTCPeerConnection(RTCConfiguration(iceServers=servers))
        self._began = time.monotonic()
        self._frame_at: float | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._closing: asyncio.Task[None] | None = None
        self._watched = False
        self._credentials: tuple[set[str], set[str]] = (set(), set())
        self._mids: list[str] = []
        self._candidates = 0
        self._packets: int | None = None
        self.id: Final = secrets.token_urlsafe(16)
        """Names it in URLs; whoever has it may end it."""
        self.generation: Final = secrets.token_hex(4)
        """Names its ICE credentials. aiortc cannot restart ICE: they stay the same."""
        self.heard_at = self._began
        """When a packet of its media, or a report about it, last came, on the monotonic clock."""
        self.kind: Literal["webrtc", "whip"] = "webrtc"
        self.state: State = "connecting"
        self.why = ""

    async def answer(self, sdp: str) -> str:
        """The answer to an offer, with all candidates. Raises ClientError for an offer that is
        none, has no picture, or only codecs that cannot be decoded here."""
        check(sdp)
        self._credentials = ({*values(sdp, "ice-ufrag")}, {*values(sdp, "ice-pwd")})
        self._mids = values(sdp, "mid")
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
            confine(self._peer, self._settings.udp_ports)
            async with asyncio.timeout(_GATHER_SECONDS):
                await self._peer.setLocalDescription(await self._peer.createAnswer())
        except BaseException:
            await self.close()
            raise
        self._tasks.append(asyncio.create_task(self._watch()))
        answer = announced(self._peer.localDescription.sdp, self._settings.media_address)
        return with_start_bitrate(answer, self._settings.start_kilobits)

    def same_ice(self, usernames: list[str], passwords: list[str]) -> bool:
        """Whether all these credentials are of the offer: others would restart ICE, which aiortc
        cannot."""
        return {*usernames} <= self._credentials[0] and {*passwords} <= self._credentials[1]

    async def add_candidates(self, candidates: Iterable[tuple[str, str]]) -> None:
        """Takes candidates that came after the offer: pairs of a media section's id and the value
        of its `a=candidate:`; "" means the first section. Raises ClientError for one that cannot
        be read.

        One that cannot be used (TCP, a name without an address, more than 64) is passed over.
        """
        parsed = []
        for mid, value in candidates:
            candidate = read_candidate(value)
            mid = mid or next(iter(self._mids), "")
            if mid not in self._mids:
                raise ClientError(
                    "invalid_candidate", f"The offer has no media section with the id {mid[:40]!r}."
                )
            candidate.sdpMid = mid
            parsed.append(candidate)
        for candidate in parsed:
            if self.state == "gone" or self._candidates >= MOST_CANDIDATES:
                return
            self._candidates += 1
            if not has_address(candidate):
                continue
            try:
                await self._peer.addIceCandidate(candidate)
            except ValueError as error:
                log.info("a candidate is of no use: %s", error)

    async def close(self, why: str = "it was closed") -> None:
        """Ends the connection; calling it twice does no harm."""
        self._end(why)
        await stop(*self._tasks)
        await self._close_peer()

    async def _close_peer(self) -> None:
        # Once, and never cancelled: a second close of aiortc's waits for the first to finish.
        if self._closing is None:
            self._closing = asyncio.create_task(self._peer.close())
        await asyncio.wait({self._closing}, timeout=_CLOSE_SECONDS)

    async def _set_offer(self, sdp: str) -> None:
        offer = RTCSessionDescription(prepared(sdp), "offer")
        try:
            check_sections(offer.sdp)
            await self._peer.setRemoteDescription(offer)
        except OperationError as error:
            raise ClientError(
                "unsupported_codec",
                f"None of the offered codecs can be decoded here ({error}): "
                "offer VP8 or H.264 constrained baseline, and Opus or G.711 where there is audio.",
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
            if self._frame_at is None:
                if now - self._began > self._settings.connect_seconds:
                    self._end("no picture arrived: no way between browser and server was found")
            elif now - self._frame_at <= _STILL_SECONDS:
                self._packets, self.heard_at = None, self._frame_at
            else:
                await self._listen(now)
                if now - self.heard_at > self._settings.stall_seconds:
                    self._become("stalled")
                else:
                    self._become("live")
                    if self.heard_at > self._frame_at:  # it lives without pictures
                        self._feed.stay()
        await self._close_peer()

    async def _listen(self, now: float) -> None:
        """A sender without a new picture still reports: only one that has vanished is silent."""
        packets = 0
        for receiver in self._peer.getReceivers():
            for stats in (await receiver.getStats()).values():
                if stats.type == "transport":
                    packets += stats.packetsReceived
        if self._packets is not None and packets != self._packets:
            self.heard_at = now
        self._packets = packets

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
