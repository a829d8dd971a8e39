"""Encoded frames become pictures in a thread of their own, which never holds anybody up.

Knows nothing about RTP but the clock of its timestamps.
"""

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable
from fractions import Fraction
from typing import Final

import av
from av import VideoFrame
from av.video.codeccontext import VideoCodecContext

from server.rtp_counters import RtpCounters
from server.rtp_frames import EncodedFrame

log = logging.getLogger(__name__)

TIME_BASE: Final = Fraction(1, 90_000)
MOST_QUEUED: Final = 64
MOST_QUEUED_BYTES: Final = 2**24
MOST_FAILURES: Final = 3
"""So often in a row may the decoder itself fail before it is given up."""
_MOST_DECODED: Final = 4


class Decoder:
    """One stream's decoder. codec: its name in libavcodec, as `h264`; decoded: is called on the
    event loop for every picture."""

    def __init__(
        self,
        codec: str,
        most_pixels: int,
        counters: RtpCounters,
        decoded: Callable[[VideoFrame], None],
    ) -> None:
        self._codec = codec
        self._most_pixels = most_pixels
        self._counters = counters
        self._decoded = decoded
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Condition()
        self._queue: deque[EncodedFrame] = deque()
        self._queued_bytes = 0
        self._fresh = True  # another stream begins
        self._waiting = True  # for a keyframe, because frames before it were let go
        self._closed = False
        self._ended = asyncio.Event()
        self._pictures: deque[VideoFrame] = deque(maxlen=_MOST_DECODED)
        self.too_large: tuple[int, int] | None = None
        """Width and height of pictures that are too large."""
        self.failures = 0
        """How often it has failed since the last good picture, not by a frame that is damaged: each
        time it begins anew, with the next keyframe."""
        self._thread = threading.Thread(target=self._run, name="rtp decoder", daemon=True)
        self._thread.start()

    def put(self, frame: EncodedFrame) -> None:
        """The next frame; never waits. Where there is no room, all go up to a keyframe."""
        with self._lock:
            if self._closed:
                return
            full = (
                len(self._queue) >= MOST_QUEUED
                or self._queued_bytes + len(frame.data) > MOST_QUEUED_BYTES
            )
            if frame.key:
                if full:  # what is queued is older
                    self._counters.frames_crowded += len(self._queue)
                    self._clear()
                self._waiting = False
            elif self._waiting or full:
                self._counters.frames_crowded += 1
                self._waiting = True
                return
            self._queue.append(frame)
            self._queued_bytes += len(frame.data)
            self._lock.notify()

    def restart(self) -> None:
        """Another stream follows: nothing of the one before is shown any more."""
        with self._lock:
            self._clear()
            self._fresh = self._waiting = True
            self._pictures.clear()
            self.too_large = None

    @property
    def failed(self) -> bool:
        """Whether it is given up."""
        return self.failures >= MOST_FAILURES

    def close(self) -> None:
        """Ends the thread as soon as it is done with its frame; calling it twice does no harm."""
        with self._lock:
            self._closed = True
            self._clear()
            self._pictures.clear()
            self._lock.notify()

    async def closed(self) -> None:
        """Returns when the thread has ended."""
        await self._ended.wait()

    def _clear(self) -> None:
        self._queue.clear()
        self._queued_bytes = 0

    def _run(self) -> None:
        try:
            done = False
            while not (done or self.failed):
                try:
                    self._decode_all()
                    done = True
                except Exception:
                    log.exception("a decoder of %s failed", self._codec)
                    self._begin_anew()
        finally:
            self.close()
            self._tell(self._ended.set)

    def _begin_anew(self) -> None:
        """With the next keyframe."""
        with self._lock:
            self.failures += 1
            self._counters.frames_undecodable += 1 + len(self._queue)
            self._clear()
            self._fresh = self._waiting = True

    def _decode_all(self) -> None:
        """Until it is closed."""
        context: VideoCodecContext | None = None
        waiting = False  # for a keyframe, because a frame before it was undecodable
        while (taken := self._take()) is not None:
            frame, fresh = taken
            if context is None or fresh:
                context, waiting = self._context(), False
            elif waiting:
                if not frame.key:
                    self._counters.frames_undecodable += 1
                    continue
                context.flush_buffers()
            waiting = not self._decode(context, frame)

    def _take(self) -> tuple[EncodedFrame, bool] | None:
        """The next frame, and whether another stream begins with it; None: the end."""
        with self._lock:
            while not self._queue and not self._closed:
                self._lock.wait()
            if self._closed:
                return None
            frame = self._queue.popleft()
            self._queued_bytes -= len(frame.data)
            fresh, self._fresh = self._fresh, False
            return frame, fresh

    def _context(self) -> VideoCodecContext:
        context = av.CodecContext.create(self._codec, "r")
        assert isinstance(context, VideoCodecContext)
        context.thread_count = 1
        context.thread_type = "NONE"  # threads of its own would hold pictures back
        # A header can claim any size, and memory is taken for it.
        context.options = {"max_pixels": str(self._most_pixels)}
        return context

    def _decode(self, context: VideoCodecContext, frame: EncodedFrame) -> bool:
        """Hands its pictures on; whether all of them are good."""
        packet = av.Packet(frame.data)
        packet.pts, packet.time_base = frame.timestamp, TIME_BASE
        try:
            pictures = context.decode(packet)
        except av.FFmpegError as error:
            log.debug("a frame cannot be decoded: %s", error)
            self._counters.frames_undecodable += 1
            if context.width * context.height > self._most_pixels:
                self.too_large = (context.width, context.height)
            return False
        if any(picture.is_corrupt for picture in pictures):
            self._counters.frames_undecodable += 1
            return False
        with self._lock:
            if self._fresh or self._closed:  # they are of a stream that is over
                return True
            self.too_large = None
            idle = not self._pictures
            for picture in pictures:
                picture.time_base = TIME_BASE
                self._pictures.append(picture)
        if idle and pictures:
            self._tell(self._hand_on)
        return True

    def _tell(self, what: Callable[[], object]) -> None:
        try:
            self._loop.call_soon_threadsafe(what)
        except RuntimeError:  # the loop ended first
            log.debug("nobody listens to a decoder any more")

    def _hand_on(self) -> None:
        while True:
            with self._lock:
                if not self._pictures:
                    return
                picture = self._pictures.popleft()
            try:
                self._decoded(picture)
            except Exception:
                log.exception("a picture could not be handed on")
                self._begin_anew()
                if self.failed:
                    self.close()
            else:
                self.failures = 0
