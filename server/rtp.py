"""A camera that sends plain RTP to a UDP port of ours.

Anybody who can reach the port can send there: SourceLock says whose packets are taken.
"""

import asyncio
import logging
import secrets
import time
from typing import Any, Final

from av import VideoFrame

from server.cameras import Kind, State
from server.errors import ServiceError
from server.rtp_counters import RtpCounters
from server.rtp_decoder import MOST_FAILURES, Decoder
from server.rtp_depacketizer import depacketizer
from server.rtp_frames import EncodedFrame, FrameAssembly
from server.rtp_order import Ordered, PacketOrder
from server.rtp_packet import MalformedPacket, goodbyes, is_rtcp, parse
from server.rtp_sdp import RtpFormat, written
from server.rtp_socket import Address, UdpReader
from server.rtp_source import SourceLock
from server.session import Session
from server.settings import GatewaySettings
from server.tasks import stop
from server.udp import address_of, open_sockets

log = logging.getLogger(__name__)

_LOOK_SECONDS: Final = 0.1
_EXPLAIN_SECONDS: Final = 1.0
_UNDECODABLE: Final = "the gateway's decoder failed on its stream (the gateway's log says how)"


class RtpCamera:
    """One port, and what comes there. source: the IP address from which packets are taken; None:
    the first that sends some."""

    def __init__(
        self,
        session: Session,
        settings: GatewaySettings,
        wanted: RtpFormat,
        source: str | None = None,
    ) -> None:
        self._session = session
        self._settings = settings
        self._wanted = wanted
        self._lock = SourceLock(source, settings.stall_seconds)
        self._readers: list[UdpReader] = []
        self._decoder: Decoder | None = None
        self._watching: asyncio.Task[None] | None = None
        self._heard_at = time.monotonic()
        self._frame_at: float | None = None
        self._explained_at = float("-inf")
        self._other_type: int | None = None
        self._other_source: str | None = None
        self.counters = RtpCounters()
        self._restart()
        self.id: Final = secrets.token_urlsafe(16)
        """Names it in URLs; whoever has it may end it."""
        self.address = ""
        """The one that is listened at; every one of this machine's where it is all zeros."""
        self.port = 0
        self.rtcp_port: int | None = None
        self.kind: Kind = "rtp"
        self.state: State = "connecting"
        self.why = ""

    async def begin(self) -> None:
        """Listens. Raises ServiceError where there is no port, or no such address."""
        settings = self._settings
        address = settings.rtp_host or settings.host
        try:
            try:
                opened = open_sockets(address, settings.udp_ports, 2)
            except ServiceError:  # the last port has none above it
                opened = open_sockets(address, settings.udp_ports)
        except OSError as error:
            raise ServiceError(
                "no_udp_address",
                f"UDP cannot be received at {address} ({error.strerror or error}): give one of "
                "this machine's addresses as LOOKBACK_RTP_HOST.",
                status=503,
            ) from error
        self.address, self.port = address_of(opened[0])
        if len(opened) > 1:
            self.rtcp_port = address_of(opened[1])[1]
        pixels = settings.picture_pixels
        codec = self._wanted.codec.lower()
        self._decoder = Decoder(codec, pixels, self.counters, self._show)
        hears = (self._hear, self._hear_control)
        self._readers = [UdpReader(*one) for one in zip(opened, hears, strict=False)]
        self._session.feed.new_track()
        self._explain(time.monotonic())
        self._watching = asyncio.create_task(self._watch())

    def described(self, host: str) -> dict[str, Any]:
        """What its sender must know; host: the address by which it reaches us."""
        about: dict[str, Any] = {"id": self.id, "host": host, "port": self.port}
        if self.rtcp_port is not None:
            about["rtcp_port"] = self.rtcp_port
        about |= {"codec": self._wanted.codec, "payload_type": self._wanted.payload_type}
        return about | {"sdp": written(self._wanted, host, self.port, self.rtcp_port)}

    async def close(self, why: str = "it was closed") -> None:
        """Frees port and thread; calling it twice does no harm."""
        self._end(why)
        if self._watching is not None:
            await stop(self._watching)
        if self._decoder is not None:
            await self._decoder.closed()

    def _restart(self) -> None:
        """Another stream begins."""
        sets = self._wanted.parameter_sets
        self._order = PacketOrder(self.counters)
        self._frames = FrameAssembly(depacketizer(self._wanted.codec, sets), self.counters)

    # What comes.

    def _hear(self, datagram: bytes, sender: Address) -> None:
        if is_rtcp(datagram):
            self._hear_control(datagram, sender)
            return
        try:
            packet = parse(datagram)
        except MalformedPacket:
            self.counters.packets_malformed += 1
            return
        if packet.payload_type != self._wanted.payload_type:
            self.counters.packets_ignored += 1
            self._other_type = packet.payload_type
            return
        now = time.monotonic()
        before = self._lock.holder
        if not self._lock.admits((sender, packet.ssrc), now):
            self.counters.packets_refused += 1
            self._other_source = sender[0]
            return
        if before not in (None, self._lock.holder):
            self._restart()
            self._session.feed.new_track()
            if self._decoder is not None:
                self._decoder.restart()
        self.counters.packets_received += 1
        self._heard_at = now
        self._take(self._order.add(packet, now))

    def _hear_control(self, datagram: bytes, sender: Address) -> None:
        """RTCP, of which only the goodbye of the sender matters: reports are not written."""
        try:
            leaving = goodbyes(datagram)
        except MalformedPacket:
            self.counters.packets_malformed += 1
            return
        if self._lock.holder is not None:
            (host, _), ssrc = self._lock.holder
            if ssrc in leaving and sender[0] == host:
                self._end("its sender said goodbye (RTCP BYE)")

    def _take(self, packets: list[Ordered]) -> None:
        for packet, lost in packets:
            for frame in self._frames.add(packet, lost):
                self._put(frame)

    def _put(self, frame: EncodedFrame) -> None:
        if self._decoder is not None:
            self._decoder.put(frame)

    def _show(self, picture: VideoFrame) -> None:
        if self.state == "gone":
            return
        self._frame_at = time.monotonic()
        self._lock.shown(self._frame_at)
        self._session.feed.offer(picture)
        self._become("live", "")

    # What does not come.

    async def _watch(self) -> None:
        with self._session.attendance.attended():
            try:
                while self.state != "gone":
                    self._look(time.monotonic())
                    await asyncio.sleep(_LOOK_SECONDS)
            except Exception:
                log.exception("session %s: the RTP camera failed", self._session.name)
                self._end("something went wrong in the gateway; its log says what")

    def _look(self, now: float) -> None:
        self._take(self._order.expire(now))
        shown = self._frame_at
        if shown is not None and now - shown > self._settings.stall_seconds:
            self._become("stalled", self._problem(now))
        if self._decoder is not None and self._decoder.failed:
            self._end(f"{_UNDECODABLE}, {MOST_FAILURES} times in a row: have it send another")
        elif now - self._heard_at > self._settings.return_seconds:
            self._end("nothing came from its sender any more")
        elif self.state != "live" and now - self._explained_at > _EXPLAIN_SECONDS:
            self._explain(now)

    def _explain(self, now: float) -> None:
        """Says why there is no picture, where that is news."""
        self._explained_at = now
        problem = self._problem(now)
        if problem != self.why:
            self.why = problem
            self._session.cameras.changed(self)

    def _problem(self, now: float) -> str:
        """Why there is no picture, and what to do about it."""
        decoder = self._decoder
        if not self.counters.packets_received:
            if self._other_source is not None:
                return f"RTP comes from {self._other_source}, which is not its source"
            if self._other_type is not None:
                return (
                    f"RTP comes with payload type {self._other_type}, "
                    f"not {self._wanted.payload_type}"
                )
            if self.counters.packets_malformed:
                return f"what comes to UDP port {self.port} is no RTP"
            return f"waits for RTP at UDP port {self.port}"
        if now - self._heard_at > self._settings.stall_seconds:
            return "nothing comes from its sender"
        if decoder is not None and decoder.too_large is not None:
            width, height = decoder.too_large
            most = self._settings.picture_pixels
            return f"its pictures of {width}×{height} are too large: send at most {most} pixels"
        if decoder is not None and decoder.failures:
            return f"{_UNDECODABLE}: it is tried again with the next keyframe"
        if self._frames.missing_sets:
            return (
                "its keyframes come without SPS and PPS: have the sender repeat them (GStreamer: "
                "config-interval=-1), or give its SDP"
            )
        if self._frames.waiting:
            return "waits for a keyframe: have the sender make one every 1 to 2 seconds"
        if self.counters.frames_undecodable:
            return f"what comes cannot be decoded as {self._wanted.codec}"
        return "waits for a whole picture"

    def _become(self, state: State, why: str) -> None:
        if self.state not in (state, "gone"):
            self.state, self.why = state, why
            self._session.cameras.changed(self)

    def _end(self, why: str) -> None:
        """Frees port and thread at once."""
        for reader in self._readers:
            reader.close()
        if self._decoder is not None:
            self._decoder.close()
        self._become("gone", why)
