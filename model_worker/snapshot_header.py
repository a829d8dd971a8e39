"""What a snapshot says of itself, as JSON before its chunks. It needs no torch to be read."""

from typing import Annotated, Final, Literal, get_args

import msgspec
from msgspec import Meta, Struct

from model_worker.memory.container import SnapshotError

Option = Literal["exact", "8-bit", "entropy"]
OPTIONS: Final[tuple[Option, ...]] = get_args(Option)
Note = str | int | float | bool | None
INBOX: Final = "inbox"
"""The note of a worker's last snapshot of a session: until where its orders were read."""

_ITEM_BYTES: Final = {"float32": 4, "bfloat16": 2, "float16": 2}
_FAR: Final = (1 << 31) - 1  # positions, tokens and units are counted up to here

Count = Annotated[int, Meta(ge=0, le=_FAR)]
Size = Annotated[int, Meta(ge=1, le=_FAR)]
Seconds = Annotated[float, Meta(ge=-1e12, le=1e12)]
Clock = Annotated[int, Meta(ge=0, le=(1 << 53))]


class ModelIdentity(Struct, frozen=True, forbid_unknown_fields=True):
    """Which model a memory is of. `weights` and `template` are hashes, see `identity`."""

    name: str
    family: str
    weights: str
    template: str


class ShapeRecord(Struct, frozen=True, forbid_unknown_fields=True):
    """As `CacheShape`."""

    layers: Size
    kv_heads: Size
    head_dim: Size
    prefix: Count
    budget: Size
    block: Size
    scratch: Size


class PolicyRecord(Struct, frozen=True, forbid_unknown_fields=True):
    """A compression policy by its name, with its parameters."""

    name: str
    parameters: dict[str, int | float]


class MemoryRecord(Struct, frozen=True, forbid_unknown_fields=True):
    """Lengths in visual tokens, and how often the memory was compressed and its positions made
    compact."""

    tokens: Count
    peak_tokens: Count
    compressions: Clock
    compactions: Clock


class OriginRecord(Struct, frozen=True, forbid_unknown_fields=True):
    """From where positions along time are counted."""

    unit: Count
    seconds: Seconds
    position: Count


class TimelineRecord(Struct, frozen=True, forbid_unknown_fields=True):
    """How positions are given out: see `Timeline`. `highest` is -1 before the first token."""

    mode: Literal["native", "compact"]
    longest: Size
    units: Count
    highest: Annotated[int, Meta(ge=-1, le=_FAR)]
    first_seconds: Seconds
    origin: OriginRecord | None


class GridRecord(Struct, frozen=True, forbid_unknown_fields=True):
    """As `families.base.Grid`."""

    rows: Size
    columns: Size
    height: Size
    width: Size


class TurnRecord(Struct, frozen=True, forbid_unknown_fields=True):
    """One question and its answer."""

    question: str
    answer: str


class ConversationRecord(Struct, frozen=True, forbid_unknown_fields=True):
    """The latest turns, at most `history_turns`, of `turns_in_all`."""

    instructions: str
    history_turns: Count
    turns_in_all: Clock
    turns: list[TurnRecord]


class WatchingRecord(Struct, frozen=True, forbid_unknown_fields=True):
    """What was seen: `frames` in all, the newest at `newest` seconds; those at `pending` seconds
    wait for the rest of their unit. `units`: how many lengths of units there are."""

    frames: Clock
    newest: Seconds | None
    grid: GridRecord | None
    pending: list[Seconds]
    units: Count


class Header(Struct, frozen=True, forbid_unknown_fields=True):
    """All of a session but its numbers. `span` is seconds of the oldest and the newest frame;
    `notes` are those of whoever made the snapshot."""

    model: ModelIdentity
    option: Option
    dtype: Literal["float32", "bfloat16", "float16"]
    shape: ShapeRecord
    policy: PolicyRecord
    memory: MemoryRecord
    timeline: TimelineRecord
    watching: WatchingRecord
    conversation: ConversationRecord
    span: tuple[Seconds, Seconds] | None
    notes: dict[str, Note]

    @property
    def raw_bytes(self) -> int:
        """The bytes of the kept keys and values in memory."""
        shape = self.shape
        per_token = shape.layers * 2 * shape.kv_heads * shape.head_dim * _ITEM_BYTES[self.dtype]
        return per_token * (shape.prefix + self.memory.tokens)


def encode(header: Header) -> bytes:
    """The header as JSON."""
    return msgspec.json.encode(header)


def decode(data: bytes | bytearray) -> Header:
    """The header from JSON. Raises SnapshotError."""
    try:
        return msgspec.json.decode(data, type=Header)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SnapshotError(f"the snapshot's header cannot be read: {error}") from error
