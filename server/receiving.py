"""Pictures out of RTP packets: each as soon as it is whole, and never more than a few at once.

aiortc lets a picture out when the next one begins, so that the last one before a still screen never
comes; hands on one picture a packet, so that those which waited for a lost packet stay late for
ever; and queues without bound where decoding is slower than the sender. Its receiver builds its
jitter buffer and runs its decoder by these two names.
"""

import asyncio
import logging
import queue
import threading
import time
from collections import deque
from typing import Any, Final

import aiortc.rtcrtpreceiver
import av
from aiortc.codecs import get_decoder
from aiortc.jitterbuffer import JitterBuffer, JitterFrame

log = logging.getLogger(__name__)

# Encoded pictures that may wait for the decoder: a second of a fast camera's.
_MOST_WAITING: Final = 60
# Decoded ones that may wait for the event loop; a 4K one takes 12 MB.
_MOST_DECODED: Final = 4
_WISH_SECONDS: Final = 1.0
_RTP_CLOCK: Final = 1 << 32


class WholeFrames(JitterBuffer):  # type: ignore[misc]
    """Ends a picture with its last packet, which the marker bit tells (RFC 7741, section 4.2; RFC
    6184, section 5.1), for senders that set it there; for others where the next one begins."""

    def __init__(self, capacity: int, prefetch: int = 0, is_video: bool = False) -> None:
        super().__init__(capacity, prefetch, is_video)
        self._marked = True
        self._ended: int | None = None

    def _remove_frame(self, sequence_number: int) -> JitterFrame | None:
        if not self._is_video:
            return super()._remove_frame(sequence_number)
        if self._goes_on(sequence_number):
            return None
        first = frame = self._next()
        while frame is not None:
            following = self._next()
            if following is not None:
                assert first is not None
                first.following.append(following)
            frame = following
        return first

    def _goes_on(self, sequence_number: int) -> bool:
        """Whether this packet is one in the middle of the newest picture, as most are, and so
        makes nothing whole."""
        before, packet, after = (
            self._packets[(sequence_number + step) % self._capacity] for step in (-1, 0, 1)
        )
        return (
            self._marked
            and not packet.marker
            and after is None
            and before is not None
            and before.timestamp == packet.timestamp
        )

    def _next(self) -> "_Frame | None":
        """The oldest picture, where all of its packets are here."""
        pieces: list[bytes] = []
        timestamp: int | None = None
        for count in range(self._capacity):
            packet = self._packets[(self._origin + count) % self._capacity]
            if packet is None:
                if not pieces:
                    self.remove(count)
                return None
            if pieces and packet.timestamp != timestamp:
                self.remove(count)
                assert timestamp is not None
                return _Frame(b"".join(pieces), timestamp)
            if not packet._data:  # padding, by which senders try how much gets through
                continue
            timestamp = packet.timestamp
            pieces.append(packet._data)
            if timestamp == self._ended:
                self._marked = False  # there was more of it after the marker
            if packet.marker and self._marked:
                self.remove(count + 1)
                self._ended = timestamp
                return _Frame(b"".join(pieces), timestamp)
        return None


class _Frame(JitterFrame):  # type: ignore[misc]
    """One encoded picture, and those that became whole with it, in their order."""

    def __init__(self, data: bytes, timestamp: int) -> None:
        super().__init__(data, timestamp)
        self.sent_at = timestamp
        self.following: list[_Frame] = []

    def all(self) -> list["_Frame"]:
        """Each with its presentation time, of which aiortc has set the first one's."""
        for frame in self.following:
            frame.timestamp = self.timestamp + (frame.sent_at - self.sent_at) % _RTP_CLOCK
        return [self, *self.following]


def decode(
    loop: asyncio.AbstractEventLoop,
    waiting: "queue.Queue[tuple[Any, Any] | None]",
    decoded: "asyncio.Queue[Any]",
    keyframe_wanted: threading.Event,
) -> None:
    """A receiver's thread: decodes what waits and hands it to the event loop, until it gets None.

    Where too much waits, everything up to the next keyframe is passed over, which is asked for.
    """
    hand = _Handing(loop, decoded)
    wish = _Wish(keyframe_wanted)
    decoder, name, skipping = None, "", False
    while (task := waiting.get()) is not None:
        codec, encoded = task
        if codec.name != name:
            decoder, name = get_decoder(codec), codec.name
        for one in encoded.all() if isinstance(encoded, _Frame) else [encoded]:
            behind = waiting.qsize() > _MOST_WAITING
            if codec.mimeType.startswith("video/") and (skipping or behind):
                skipping = behind or not _is_keyframe(codec.name, one.data)
                if skipping:
                    wish()
                    continue
            try:
                assert decoder is not None
                frames = decoder.decode(one)
            except av.FFmpegError as error:
                # The decoder's state is kept: without it nothing is decoded before a keyframe.
                log.info("a picture could not be decoded: %s", error)
                wish()
                continue
            for frame in frames:
                hand(frame)
    hand(None)


class _Handing:
    """To the event loop, which gets the newest ones where it is late."""

    def __init__(self, loop: asyncio.AbstractEventLoop, decoded: "asyncio.Queue[Any]") -> None:
        self._loop = loop
        self._decoded = decoded
        self._held: deque[Any] = deque(maxlen=_MOST_DECODED)

    def __call__(self, frame: Any) -> None:
        self._held.append(frame)
        try:
            self._loop.call_soon_threadsafe(self._take)
        except RuntimeError:  # the loop has been closed: nobody waits for pictures any more
            self._held.clear()

    def _take(self) -> None:
        if self._held:
            self._decoded.put_nowait(self._held.popleft())


class _Wish:
    """For a keyframe, told again every second for as long as there is none."""

    def __init__(self, wanted: threading.Event) -> None:
        self._wanted = wanted
        self._told_at = float("-inf")

    def __call__(self) -> None:
        now = time.monotonic()
        if now - self._told_at >= _WISH_SECONDS:
            self._told_at = now
            self._wanted.set()


def _is_keyframe(codec: str, data: bytes) -> bool:
    """Whether decoding can begin here."""
    if codec.upper() == "VP8":
        return bool(data) and data[0] & 1 == 0  # RFC 6386, section 9.1
    at = data.find(b"\x00\x00\x01")
    while 0 <= at < len(data) - 3:
        if data[at + 3] & 0x1F in (5, 7):  # an IDR slice, or a sequence parameter set before one
            return True
        at = data.find(b"\x00\x00\x01", at + 3)
    return False


def install() -> None:
    """Makes the receivers of this process use both."""
    aiortc.rtcrtpreceiver.JitterBuffer = WholeFrames
    aiortc.rtcrtpreceiver.decoder_worker = decode
