"""What a worker says of itself, every second, while it lives."""

from typing import Final

import msgspec

PROTOCOL: Final = 3
"""The version of all messages together; gateway and worker work together where theirs are equal.
Messages of equal version may have more fields, which the older side does not read."""


class WorkerCard(msgspec.Struct, frozen=True, tag="worker"):
    """A living worker. `frame_size` is (width, height) in pixels where the model's input size is
    fixed; otherwise frames keep their shape within `max_pixels`. `kv_bytes` is what all sessions
    may take together; `draining`: it takes no new ones, since it is about to stop. `ttft_seconds`
    is the time to first token of its latest answer, `frame_age_seconds` the age of the frame that
    it saw last when it was in memory."""

    worker: str
    model: str
    family: str
    device: str
    frame_size: tuple[int, int] | None
    max_pixels: int
    budget_tokens: int
    cap_tokens: int
    tokens_per_frame: int
    kv_bytes_per_session: int
    sessions: int
    max_sessions: int
    kv_bytes_used: int
    frames_per_second: float
    kv_bytes: int = 0
    draining: bool = False
    protocol: int = 1
    answers_running: int = 0
    answers_waiting: int = 0
    ttft_seconds: float | None = None
    frame_age_seconds: float | None = None
