"""Which way a source goes to its session."""

from collections.abc import AsyncIterable, Iterable
from typing import TYPE_CHECKING, Any, Protocol

from lookback_client.frames import FramesPublication
from lookback_client.gateway import Gateway
from lookback_client.pictures import Picture
from lookback_client.publication import Publication
from lookback_client.pump import Pump, TaskPump, ThreadPump
from lookback_client.rtsp import RtspPublication
from lookback_client.sources import Camera, File, Frame, Pulled, Rtsp


class VideoTrack(Protocol):
    """A track of aiortc's, with `kind` "video"."""

    kind: str

    async def recv(self) -> Any:
        """The next av.VideoFrame."""


if TYPE_CHECKING:
    Pictures = Iterable[Picture | Frame] | AsyncIterable[Picture | Frame]
    Publishable = Camera | File | Rtsp | VideoTrack | Pictures
else:
    Publishable = object


def publication(
    gateway: Gateway,
    session: str,
    source: Publishable,
    per_second: float | None,
    webrtc: bool,
    reconnect_seconds: float,
) -> Publication:
    """Not yet begun. Raises TypeError for what can be no camera."""
    if isinstance(source, Rtsp):
        return RtspPublication(gateway, session, source, reconnect_seconds)
    track = hasattr(source, "recv") and getattr(source, "kind", "") == "video"
    pump = None if track else _pump(source)
    if pump is not None and not webrtc:
        return FramesPublication(gateway, session, pump, per_second, reconnect_seconds)
    from lookback_client.webrtc import PumpTrack, WebRtcPublication

    sent = source if pump is None else PumpTrack(pump)
    return WebRtcPublication(gateway, session, sent, pump, reconnect_seconds)


def _pump(source: Any) -> Pump:
    if isinstance(source, Camera | File):
        return ThreadPump(source)
    if hasattr(source, "__aiter__"):
        return TaskPump(source)
    if hasattr(source, "__iter__") and not isinstance(source, str | bytes) and not _picture(source):
        return ThreadPump(Pulled(source))
    raise TypeError(
        "A camera is Camera, File, Rtsp, a video track, or an iterator of pictures, not "
        f"{type(source).__name__}."
    )


def _picture(source: Any) -> bool:
    """One array is iterable, too, by rows."""
    return getattr(source, "ndim", 0) == 3
