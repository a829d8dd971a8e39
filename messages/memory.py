"""A session's memory, looked at token by token: only where somebody asks to see it."""

import msgspec


class DescribeMemory(msgspec.Struct, frozen=True, tag="session.describe"):
    """Say what the memory holds now; the worker replies with one MemoryDescribed."""

    session: str


class MemoryDescribed(msgspec.Struct, frozen=True, tag="session.memory.description"):
    """Where and when every kept token was seen, and what comes next for the memory.

    `frames` are the times (seconds of stream time) of all frames that still have a kept token,
    rising; a frame has `patches` patch indices, of which the first rows x columns are the
    picture's grid, row by row, and the rest is text around a unit. `shares` has one byte for
    each of frames x patches, frame by frame: round(255 x the share of layers and KV heads that
    keep this token). `tokens` are kept of at most `cap_tokens`, in `kv_bytes` bytes of
    `bytes_per_token` each; a compression pass leaves `budget_tokens` and comes after
    `next_compression_tokens` more. `next_compaction_positions` is how many positions are left
    until positions are made compact, None where that never happens. `span` is the time in
    seconds of the oldest and the newest kept frame.
    """

    session: str
    frames: list[float]
    patches: int
    shares: bytes
    rows: int
    columns: int
    tokens: int
    budget_tokens: int
    cap_tokens: int
    kv_bytes: int
    bytes_per_token: int
    span: tuple[float, float] | None
    next_compression_tokens: int
    next_compaction_positions: int | None
    compressions: int
    position_compactions: int
