"""What a worker says of itself, every second, while it lives."""

import msgspec


class WorkerCard(msgspec.Struct, frozen=True, tag="worker"):
    """A living worker. `frame_size` is (width, height) in pixels where the model's input size is
    fixed; otherwise frames keep their shape within `max_pixels`."""

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
