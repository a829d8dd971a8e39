"""What can be seen of a memory from outside."""

from collections.abc import Callable
from dataclasses import dataclass, field

from model_worker.memory.description import MemoryDescription


@dataclass(frozen=True)
class MemoryView:
    """What a memory holds. Lengths are tokens per layer and KV head; `span` is seconds.

    `describe` says it token by token, as it is when it is called: a few milliseconds for 700,000
    tokens over all layers and heads.
    """

    tokens: int
    peak_tokens: int
    cap_tokens: int
    budget_tokens: int
    kv_bytes: int
    frames_seen: int
    compressions: int
    span: tuple[float, float] | None
    describe: Callable[[], MemoryDescription] = field(repr=False, compare=False)
