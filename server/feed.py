"""A session's frames on their way to the worker: the newest is sampled, nothing ever queues.

Whatever receives pictures calls `offer` for each; one slot holds the newest sampled frame while
the one before it is encoded and written to the broker's ring. Pictures that somebody shows on
purpose (`show`) are all handed on.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from av import VideoFrame
from redis.exceptions import RedisError

from messages import keys
from messages.codec import encode as encode_message
from messages.frames import Frame
from server.errors import ClientError, broker_unavailable
from server.observer import Observer
from server.picture import Picture, PictureError, encode
from server.sampling import Sampler, Similarity, StreamClock
from server.settings import GatewaySettings
from server.stills import Still
from telemetry.tracing import Span

log = logging.getLogger(__name__)

_RING_TTL_SECONDS = 60
_REJECTION_SECONDS = 5.0


@dataclass
class Counters:
    """Frames of one session. received = whole frames that came; sampled = those whose time had
    come, and again where the newest one still stands; skipped = near-duplicates; sent = handed to
    the worker; dropped = sampled, but not handed on."""

    frames_received: int = 0
    frames_sampled: int = 0
    frames_skipped: int = 0
    frames_sent: int = 0
    frames_dropped: int = 0


@dataclass(frozen=True)
class _Sampled:
    frame: VideoFrame | Still
    timestamp: float
    captured_at: float
    span: Span | None = None


@dataclass(frozen=True)
class Shown:
    """Where a picture that was shown stands: `time` in seconds of the stream. Memory has it when
    it has told of `frames`, seen or dropped."""

    time: float
    frames: int


class FrameFeed:
    """frame_size, max_pixels: what the worker's card asks for. rejected: is told in words about
    frames that cannot be used, every few seconds at most. observer: notes what becomes of each."""

    def __init__(
        self,
        session: str,
        settings: GatewaySettings,
        broker: Any,
        frame_size: tuple[int, int] | None,
        max_pixels: int,
        rejected: Callable[[str], None],
        observer: Observer | None = None,
    ) -> None:
        self._session = session
        self._broker = broker
        self._quality = settings.jpeg_quality
        self._frame_size = frame_size
        self._max_pixels = max_pixels
        self._rejected = rejected
        self._observer = observer or Observer()
        self._rejected_at = self._failed_at = float("-inf")
        self._clock = StreamClock()
        self._sampler = Sampler(settings.fps)
        self._similarity = Similarity(settings.similar_levels, settings.keep_every_seconds)
        self._slot: _Sampled | None = None
        self._newest: VideoFrame | Still | None = None
        self._ready: tuple[VideoFrame | Still, Picture] | None = None  # the one encoded last
        self._filled = asyncio.Event()
        self._number = 0
        self._handing = asyncio.Lock()
        self._handed_at = -1.0
        self._expires_at = 0.0  # when the ring's TTL is to be set again
        self.counters = Counters()
        self.last_frame_at: float | None = None
        """When the last frame arrived, on the monotonic clock."""

    def counted(self) -> dict[str, int]:
        """The counters by name."""
        return asdict(self.counters)

    def begin(self, frames: int, seconds: float) -> None:
        """Begins after so many frames that an earlier session has seen, to this time."""
        self._number = frames
        self._clock.resume(seconds, time.monotonic())

    def resume(self, last: Frame | None, session_seconds: float) -> None:
        """Goes on where another gateway stopped: after the `last` frame of its, so many seconds
        after the session began."""
        if last is not None:
            self._number = last.number + 1
            session_seconds = last.timestamp + max(0.0, time.time() - last.captured_at)
            self.counters.frames_dropped = last.dropped
        self._clock.resume(session_seconds, time.monotonic())

    def new_track(self) -> None:
        """Another camera follows."""
        self._newest = None
        self._clock.restart()

    def offer(self, frame: VideoFrame | Still, presented: float | None = None) -> bool:
        """Takes note of a frame; never waits. presented: its time in seconds, where the frame
        does not hold it. False for one that is not newer than the last."""
        now = time.monotonic()
        self.last_frame_at = now
        self.counters.frames_received += 1
        self._observer.metrics.frames["received"].inc()
        if isinstance(frame, VideoFrame):
            presented = frame.time
        timestamp = self._clock.time(presented, now)
        if timestamp is None:
            return False
        self._newest = frame
        if self._sampler.due(timestamp):
            self._sample(frame, timestamp)
        return True

    def stay(self) -> None:
        """The newest frame is what the camera still shows: it counts as a frame of this moment.
        For senders that send nothing as long as nothing moves, as a still screen share."""
        now = time.monotonic()
        if self._newest is None or not self._sampler.may(self._clock.at(now)):
            return
        timestamp = self._clock.time(None, now)
        if timestamp is not None and self._sampler.due(timestamp):
            self.last_frame_at = now
            self._sample(self._newest, timestamp)

    def _sample(self, frame: VideoFrame | Still, timestamp: float) -> None:
        self.counters.frames_sampled += 1
        if self._slot is not None:
            self._drop(self._slot, "slot")
        self._slot = _Sampled(frame, timestamp, time.time(), self._observer.sampled(self._session))
        self._filled.set()

    def _drop(self, sampled: _Sampled, cause: str) -> None:
        self.counters.frames_dropped += 1
        self._observer.dropped(cause, sampled.span)

    async def show(self, frame: Still) -> Shown:
        """Hands this picture on, as one of the present moment, whatever is sampled. Raises
        ClientError for a damaged one, and ServiceError where the broker does not take it."""
        async with self._handing:
            now = time.monotonic()
            timestamp = self._clock.time(None, now)
            assert timestamp is not None, "the clock has no time between two pictures"
            self.last_frame_at = now
            self.counters.frames_received += 1
            self.counters.frames_sampled += 1
            self._observer.metrics.frames["received"].inc()
            span = self._observer.sampled(self._session)
            shown = _Sampled(frame, timestamp, time.time(), span)
            try:
                await self._write(shown, await self._encoded(frame))
            except PictureError as error:
                self._drop(shown, "rejected")
                raise ClientError("invalid_picture", str(error)) from error
            except RedisError as error:
                self._drop(shown, "broker")
                raise broker_unavailable(error) from error
            return Shown(timestamp, self._number + self.counters.frames_dropped)

    async def run(self) -> None:
        """Hands sampled frames on until cancelled."""
        while True:
            await self._filled.wait()
            self._filled.clear()
            sampled, self._slot = self._slot, None
            if sampled is not None:
                async with self._handing:
                    await self._hand_on(sampled)

    async def _hand_on(self, sampled: _Sampled) -> None:
        if sampled.timestamp <= self._handed_at:  # a picture was shown in the meantime
            self._drop(sampled, "overtaken")
            return
        try:
            picture = await self._encoded(sampled.frame)
            if not self._similarity.keep(picture.thumbnail, sampled.timestamp):
                self.counters.frames_skipped += 1
                self._observer.skipped(sampled.span)
                return
            await self._write(sampled, picture)
        except PictureError as error:
            self._drop(sampled, "rejected")
            now = time.monotonic()
            if now - self._rejected_at >= _REJECTION_SECONDS:
                self._rejected_at = now
                self._rejected(str(error))
        except RedisError as error:
            self._drop(sampled, "broker")
            log.warning("session %s: a frame was not handed on: %s", self._session[:8], error)

    async def _encoded(self, frame: VideoFrame | Still) -> Picture:
        if self._ready is None or self._ready[0] is not frame:
            self._ready = None  # a large picture is not kept beside the next one
            picture = await asyncio.to_thread(
                encode, frame, self._frame_size, self._max_pixels, self._quality
            )
            self._ready = frame, picture
        return self._ready[1]

    async def _write(self, sampled: _Sampled, picture: Picture) -> None:
        """To the ring, as the next frame."""
        message = Frame(
            session=self._session,
            number=self._number,
            timestamp=sampled.timestamp,
            captured_at=sampled.captured_at,
            jpeg=picture.jpeg,
            dropped=self.counters.frames_dropped,
            trace=None if sampled.span is None else sampled.span.traceparent,
        )
        key = keys.frames(self._session)
        entry = {keys.FIELD: encode_message(message)}
        now = time.monotonic()
        if now < self._expires_at:
            await self._broker.xadd(key, entry, maxlen=keys.RING, approximate=False)
        else:
            async with self._broker.pipeline(transaction=False) as pipeline:
                pipeline.xadd(key, entry, maxlen=keys.RING, approximate=False)
                pipeline.expire(key, _RING_TTL_SECONDS)
                await pipeline.execute()
            self._expires_at = now + _RING_TTL_SECONDS / 3
        self._observer.sent(self._number, sampled.span)
        self._number += 1
        self._handed_at = sampled.timestamp
        self.counters.frames_sent += 1
