"""Video by WHIP (RFC 9725), through aiortc."""

import asyncio
from fractions import Fraction
from typing import Any, Final

from lookback_client.errors import (
    CameraError,
    CameraReplaced,
    LookbackError,
    SessionLost,
    Unreachable,
)
from lookback_client.gateway import Gateway, in_path
from lookback_client.pictures import missing
from lookback_client.publication import Publication, log
from lookback_client.pump import Pump

try:
    import aioice.ice
    from aiortc import (
        MediaStreamTrack,
        RTCConfiguration,
        RTCPeerConnection,
        RTCSessionDescription,
    )
    from aiortc.mediastreams import MediaStreamError
    from av import VideoFrame
except ImportError as error:
    raise missing(error) from error

_CONNECT_SECONDS: Final = 20.0
_LAST_SECONDS: Final = 0.5
_CLOCK: Final = 90000

_found_addresses = aioice.ice.get_host_addresses


def _host_addresses(use_ipv4: bool, use_ipv6: bool) -> list[str]:
    """aioice never offers 127.0.0.1; on a machine with no other address nothing else connects."""
    addresses: list[str] = _found_addresses(use_ipv4, use_ipv6)
    return addresses or ["127.0.0.1"]


aioice.ice.get_host_addresses = _host_addresses


class PumpTrack(MediaStreamTrack):  # type: ignore[misc]  # aiortc comes without types
    """A source's pictures as a track, with their times."""

    kind = "video"

    def __init__(self, pump: Pump) -> None:
        super().__init__()
        self._pump = pump
        self.error: CameraError | None = None

    async def recv(self) -> VideoFrame:
        """The newest picture. Raises MediaStreamError after the last."""
        try:
            frame = await self._pump.newest()
        except CameraError as error:
            self.error, frame = error, None
        if frame is None or self.readyState != "live":
            self.stop()
            raise MediaStreamError
        picture: Any = frame.picture
        if not isinstance(picture, VideoFrame):
            picture = VideoFrame.from_ndarray(picture, format="rgb24")
        picture.pts = round(frame.time * _CLOCK)
        picture.time_base = Fraction(1, _CLOCK)
        return picture  # type: ignore[no-any-return]


class _Lent(MediaStreamTrack):  # type: ignore[misc]
    """A track for one connection, whose end does not end the track."""

    kind = "video"

    def __init__(self, track: MediaStreamTrack) -> None:
        super().__init__()
        self._track = track

    async def recv(self) -> Any:
        return await self._track.recv()


class WebRtcPublication(Publication):
    """pump: what the track is fed from, where it is ours to open and close."""

    def __init__(
        self,
        gateway: Gateway,
        session: str,
        track: Any,
        pump: Pump | None,
        reconnect_seconds: float,
    ) -> None:
        super().__init__(reconnect_seconds)
        self._gateway = gateway
        self._session = in_path(session)
        self._track = track
        self._pump = pump
        self._peer: RTCPeerConnection | None = None
        self._location: str | None = None
        self._changed = asyncio.Event()

    @property
    def seconds(self) -> float:
        return 0.0 if self._pump is None else self._pump.seconds

    async def _open(self) -> None:
        if self._pump is not None:
            await self._pump.open()
        self._track.on("ended", self._changed.set)

    async def _connect(self) -> None:
        await self._hang_up()
        # No public STUN server: nobody but the gateway learns of this connection.
        peer = self._peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        peer.on("connectionstatechange", self._changed.set)
        peer.addTransceiver(_Lent(self._track), direction="sendonly")
        await peer.setLocalDescription(await peer.createOffer())
        reply = await self._gateway.request(
            "POST",
            f"/whip/{self._session}",
            content=peer.localDescription.sdp,
            headers={"Content-Type": "application/sdp"},
        )
        resource = reply.headers["Location"].rstrip("/").rpartition("/")[2]
        self._location = f"/whip/{self._session}/{resource}"
        if self._pump is not None:
            self._pump.go(float("inf"))
        await peer.setRemoteDescription(RTCSessionDescription(reply.text, "answer"))
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                while peer.connectionState != "connected":
                    self._changed.clear()
                    await self._changed.wait()
                    if peer.connectionState in ("failed", "closed"):
                        raise Unreachable("No media connection came about.", code="unreachable")
        except TimeoutError:
            raise Unreachable("No media connection came about.", code="unreachable") from None

    async def _send(self) -> bool:
        assert self._peer is not None
        while self._peer.connectionState == "connected":
            if self._track.readyState == "ended":
                await asyncio.sleep(_LAST_SECONDS)  # the last pictures are still on their way
                if getattr(self._track, "error", None) is not None:
                    raise self._track.error
                return True
            self._changed.clear()
            await self._changed.wait()
        await self._look()
        return False

    async def _look(self) -> None:
        """Raises what has become of a session that this camera is not connected to any more."""
        if await self._hang_up():
            return  # it was still the session's camera
        try:
            state = await self._gateway.told("GET", f"/v1/sessions/{self._session}")
        except SessionLost:
            raise
        except LookbackError as error:  # it is away, or this token may not ask
            log.debug("What became of the session is not known: %s", error)
            return
        if state["camera"]["state"] in ("connecting", "live"):
            raise CameraReplaced("Another camera took this one's place.", code="replaced")

    async def _close(self) -> None:
        await self._hang_up()
        if self._pump is not None:
            await self._pump.close()

    async def _hang_up(self) -> bool:
        """Whether the gateway still knew the connection."""
        location, self._location = self._location, None
        known = False
        if location is not None:
            try:
                await self._gateway.request("DELETE", location)
                known = True
            except LookbackError as error:  # it has noticed already, or will
                log.debug("The connection was not dismissed: %s", error)
        if self._peer is not None:
            await self._peer.close()
        return known
