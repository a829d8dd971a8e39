"""What can be seen of a memory from outside."""

from dataclasses import dataclass


@dataclass(frozen=True)
class MemoryView:
    """What a memory holds. Lengths are tokens per layer and KV head; `span` is seconds."""

    tokens: int
    peak_tokens: int
    cap_tokens: int
    budget_tokens: int
    kv_bytes: int
    frames_seen: int
    compressions: int
    span: tuple[float, float] | None
