"""Which frames of a stream are taken: by presentation time, and not the same picture twice.

Knows nothing about codecs or the network; wall time is handed in.
"""

import numpy as np
from numpy.typing import NDArray

# A jump ahead of the wall clock by more than this (seconds) is another time line, not a stall.
_DISCONTINUITY_SECONDS = 10.0
# A frame may come early by this part of a period, or a jittering camera that sends exactly
# `fps` frames would lose every other one.
_EARLY = 0.1


class StreamClock:
    """Presentation times of any number of tracks, one after another, on one rising time line.

    Session time starts at 0 with the first frame, in seconds. What begins a new time line (a new
    camera, a jump) goes on where wall time says.
    """

    def __init__(self) -> None:
        self._offset: float | None = None
        self._time = 0.0
        self._wall: float | None = None

    def resume(self, time: float, wall: float) -> None:
        """Go on at this session time; wall: the monotonic clock now."""
        self._time, self._wall, self._offset = time, wall, None

    def restart(self) -> None:
        """Another track follows; its presentation times say nothing about the last one's."""
        self._offset = None

    def at(self, wall: float) -> float:
        """The session time of this moment (wall: a monotonic clock), which moves nothing."""
        return self._time + (0.0 if self._wall is None else max(wall - self._wall, 0.0))

    def time(self, presented: float | None, wall: float) -> float | None:
        """The session time of a frame, or None for one that is not newer than the last.

        presented: the frame's own time in seconds, where it has one; wall: a monotonic clock.
        """
        if self._wall is None:
            self._wall, self._offset = wall, -(presented or 0.0)
            return self._time
        elapsed = max(wall - self._wall, 0.0)
        time = None if presented is None or self._offset is None else presented + self._offset
        if time is not None and time == self._time:
            return None
        jumped = (
            time is None
            or time < self._time
            or time > self._time + elapsed + (_DISCONTINUITY_SECONDS)
        )
        if time is None or jumped:
            if elapsed == 0.0:
                return None
            time = self._time + elapsed
            self._offset = None if presented is None else time - presented
        self._time, self._wall = time, wall
        return time


class Sampler:
    """At most `fps` frames a second of session time."""

    def __init__(self, fps: float) -> None:
        self._period = 1.0 / fps
        self._next = 0.0

    def may(self, time: float) -> bool:
        """Whether a frame of this session time (seconds) would be taken."""
        return time >= self._next - _EARLY * self._period

    def due(self, time: float) -> bool:
        """Whether the frame of this session time (seconds) is taken."""
        if not self.may(time):
            return False
        self._next += self._period
        if self._next <= time:  # after a gap there is nothing to catch up on
            self._next = time + self._period
        return True


class Similarity:
    """Skips near-duplicates of the last kept picture, yet keeps one every few seconds.

    levels: mean absolute difference of grey thumbnails, 0 to 255, up to which two are alike.
    """

    def __init__(self, levels: float, keep_every_seconds: float) -> None:
        self._levels = levels
        self._keep_every = keep_every_seconds
        self._kept: NDArray[np.uint8] | None = None
        self._kept_at = 0.0

    def keep(self, thumbnail: NDArray[np.uint8], time: float) -> bool:
        """Whether this picture is kept. thumbnail: grey [rows, columns]; time: session seconds."""
        if self._kept is not None and time - self._kept_at < self._keep_every:
            difference = np.abs(thumbnail.astype(np.int16) - self._kept).mean()
            if difference <= self._levels:
                return False
        self._kept, self._kept_at = thumbnail, time
        return True
