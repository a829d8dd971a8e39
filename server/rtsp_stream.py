"""What a camera sends over RTSP becomes pictures.

Knows nothing about the connection.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from av import VideoFrame

from server.rtp_counters import RtpCounters
from server.rtp_decoder import TIME_BASE, Decoder
from server.rtp_depacketizer import depacketizer
from server.rtp_frames import FrameAssembly
from server.rtp_packet import SEQUENCE_BITS, TIMESTAMP_BITS, MalformedPacket, RtpPacket, parse
from server.rtsp_sdp import Codec, VideoTrack

_DECODERS: Final[dict[Codec, str]] = {
    "H264": "h264",
    "H265": "hevc",
    "JPEG": "mjpeg",
    "VP8": "vp8",
}
_SAME_FRAMES: Final = 30
_SAME_SECONDS: Final = 2.0


class RtspStream:
    """The RTP packets of one connection. decoded: is called on the event loop for every
    picture, of at most `most_pixels`."""

    def __init__(
        self, track: VideoTrack, most_pixels: int, decoded: Callable[[VideoFrame], None]
    ) -> None:
        self._track = track
        self._most_pixels = most_pixels
        self._counters = RtpCounters()
        self._decoder = Decoder(_DECODERS[track.codec], most_pixels, self._counters, decoded)
        self._assembly = FrameAssembly(
            depacketizer(track.codec, track.parameter_sets), self._counters
        )
        self._ssrc: int | None = None
        self._next = 0  # sequence number
        self._stopped = _StoppedClock()

    def take(self, data: bytes) -> bool:
        """A packet of the camera's; False for one that is not of this track's picture."""
        try:
            packet = parse(data)
        except MalformedPacket:
            self._counters.packets_malformed += 1
            return False
        if packet.payload_type != self._track.payload_type:
            self._counters.packets_ignored += 1
            return False
        lost = packet.ssrc != self._ssrc or packet.sequence != self._next
        if packet.ssrc != self._ssrc or self._stopped.noticed(packet):
            self._assembly = FrameAssembly(
                depacketizer(self._track.codec, self._track.parameter_sets), self._counters
            )
            self._decoder.restart()
            self._ssrc, lost = packet.ssrc, True
        self._next = (packet.sequence + 1) % (1 << SEQUENCE_BITS)
        for frame in self._assembly.add(self._stopped.corrected(packet), lost):
            self._decoder.put(frame)
        return True

    @property
    def failed(self) -> bool:
        """Whether its decoder is given up, so that no picture will come."""
        return self._decoder.failed

    @property
    def trouble(self) -> str:
        """Why packets have come, but no picture."""
        if self._decoder.failures:
            return "the gateway's decoder failed on its stream (the gateway's log says how)"
        if self._decoder.too_large:
            width, height = self._decoder.too_large
            return (
                f"its pictures of {width}×{height} have more than {self._most_pixels} pixels "
                "(LOOKBACK_PICTURE_PIXELS): set it to smaller ones"
            )
        if self._counters.frames_undecodable:
            return f"its {self._track.codec} cannot be decoded"
        if self._assembly.missing_sets:
            return "its keyframes come without SPS and PPS"
        if self._assembly.waiting:
            return "it sends no keyframe: set it to one every second or two"
        return "no picture came of what it sends"

    def close(self) -> None:
        """Ends the decoder."""
        self._decoder.close()


class _StoppedClock:
    """Of a camera that gives all its pictures the same time: then the time of their coming is
    theirs."""

    def __init__(self) -> None:
        self._timestamp: int | None = None
        self._since = 0.0
        self._frames = 0
        self._own: int | None = None

    def noticed(self, packet: RtpPacket) -> bool:
        """Whether it is found with this packet that the clock stands."""
        if self._own is not None:
            return False
        now = time.monotonic()
        if packet.timestamp != self._timestamp:
            self._timestamp, self._since, self._frames = packet.timestamp, now, 0
        self._frames += packet.marker
        if self._frames < _SAME_FRAMES or now - self._since < _SAME_SECONDS:
            return False
        self._own = _now()
        return True

    def corrected(self, packet: RtpPacket) -> RtpPacket:
        """With a time that goes on, as the packet of a clock that stands."""
        if self._own is None:
            return packet
        packet = replace(packet, timestamp=self._own)
        if packet.marker:
            self._own = _now()
        return packet


def _now() -> int:
    return int(time.monotonic() / TIME_BASE) % (1 << TIMESTAMP_BITS)
