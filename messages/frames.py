"""A sampled frame on its way from the gateway to the worker."""

import msgspec


class Frame(msgspec.Struct, frozen=True, tag="frame"):
    """One picture. `number` counts a session's frames from 0: a gap is a loss.

    `timestamp` is presentation time in seconds since the session's first frame and rises
    strictly; `captured_at` is wall-clock time (Unix seconds) at the gateway, for frame age;
    `dropped` counts the frames that the gateway has thrown away for this session so far
    because something was slow (frames merely not sampled are not drops). `trace` is the frame's W3C
    traceparent.
    """

    session: str
    number: int
    timestamp: float
    captured_at: float
    jpeg: bytes
    dropped: int = 0
    trace: str | None = None


class FrameRejected(msgspec.Struct, frozen=True, tag="frame.rejected"):
    """The worker could not use a frame; the session goes on without it."""

    session: str
    number: int
    message: str
