"""A video file as a stream of sampled frames, by presentation time."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import av
import numpy as np
from numpy.typing import NDArray

_SLACK: Final = 1e-3  # seconds: presentation times are fractions, thresholds are decimals


class VideoError(ValueError):
    """A file that cannot be streamed; the message says why."""


@dataclass(frozen=True)
class Sampled:
    """pixels: RGB `[height, width, 3]`, uint8. timestamp: seconds since the first frame."""

    pixels: NDArray[np.uint8]
    timestamp: float


class Video:
    """A file with a video stream. Raises VideoError where there is none."""

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.is_file():
            raise VideoError(f"There is no file {path}.")
        try:
            with av.open(str(path)) as container:
                if not container.streams.video:
                    raise VideoError(f"{path} has no video stream.")
                stream = container.streams.video[0]
                self.seconds = _seconds(container, stream)
        except av.FFmpegError as error:
            raise VideoError(f"{path} is no video that FFmpeg can read ({error}).") from error

    def sampled(self, fps: float, until: float | None = None) -> Iterator[Sampled]:
        """One frame in every 1/fps seconds, up to `until` (seconds, inclusive).

        Raises VideoError where the file breaks off before its first frame.
        """
        due, first = 0.0, None
        for frame in self._frames():
            if first is None:
                first = frame.time or 0.0
            timestamp = (frame.time or 0.0) - first
            if until is not None and timestamp > until + _SLACK:
                return
            if timestamp + _SLACK >= due:
                due = (int((timestamp + _SLACK) * fps) + 1) / fps
                pixels = np.asarray(frame.to_ndarray(format="rgb24"), dtype=np.uint8)
                yield Sampled(pixels, timestamp)
        if first is None:
            raise VideoError(f"{self.path} has no frame that can be decoded.")

    def _frames(self) -> Iterator[av.VideoFrame]:
        with av.open(str(self.path)) as container:
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            try:
                yield from container.decode(stream)
            except av.FFmpegError as error:
                raise VideoError(f"{self.path} is damaged ({error}).") from error


def _seconds(container: "av.container.InputContainer", stream: "av.VideoStream") -> float | None:
    """The length, None where the file does not say."""
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    return container.duration / av.time_base if container.duration is not None else None
