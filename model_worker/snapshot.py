"""A session as a file: what is kept of the stream, and all that it takes to go on.

It is written layer by layer, and read by `snapshot_reader`. It knows no broker and no folder: bytes
go to whoever asks for them. docs/snapshots.md says what stands where.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Final

import numpy as np
import torch

from model_worker.memory import codec, tracking
from model_worker.memory.cache import CacheShape
from model_worker.memory.container import ChunkWriter, SnapshotError
from model_worker.memory.policies import POLICIES
from model_worker.memory.policies.base import CompressionPolicy
from model_worker.session import Session
from model_worker.snapshot_header import (
    OPTIONS,
    ConversationRecord,
    GridRecord,
    Header,
    MemoryRecord,
    ModelIdentity,
    Note,
    Option,
    OriginRecord,
    PolicyRecord,
    ShapeRecord,
    TimelineRecord,
    TurnRecord,
    WatchingRecord,
    encode,
)
from model_worker.state import SessionState
from model_worker.timeline import TimelineState

UNITS: Final = "UNIT"
FRAME: Final = "FRAM"
PLACES: Final = "SEEN"
KEYS: Final = "KEYS"
VALUES: Final = "VALS"
MARKS: Final = "MARK"
"""Tags of the chunks, in their order; those from PLACES on take turns, layer by layer, and marks
are there where the policy gives any."""


class Snapshot:
    """A session of one moment, as bytes to be iterated over once.

    The session may go on meanwhile, and is then to be let do so by the same thread, between two
    pieces; after `detach` any thread may iterate. A piece is at most a layer's keys.
    """

    def __init__(
        self,
        session: Session,
        identity: ModelIdentity,
        option: Option = "exact",
        notes: Mapping[str, Note] | None = None,
    ) -> None:
        """Raises SnapshotError where the option is unknown, or the policy."""
        if option not in OPTIONS:
            raise SnapshotError(f"unknown option {option!r}; known: {', '.join(OPTIONS)}")
        self._state = state = session.state
        cache, memory = session.cache, session.memory
        self.header = Header(
            model=identity,
            option=option,
            dtype=codec.dtype_name(cache.buffer.dtype),
            shape=shape_record(cache.shape),
            policy=_policy_record(state.policy),
            memory=MemoryRecord(
                cache.visual_length, cache.peak_length, cache.compressions, cache.compactions
            ),
            timeline=_timeline_record(state.timeline),
            watching=_watching_record(state),
            conversation=ConversationRecord(
                state.instructions,
                state.history_turns,
                state.turns_in_all,
                [TurnRecord(turn.question, turn.answer) for turn in state.turns],
            ),
            span=memory.span,
            notes=dict(notes or {}),
        )
        self._dtype = cache.buffer.dtype
        self._held = cache.hold()

    def detach(self) -> None:
        """Copy what was not written yet, so that the session is not needed any more."""
        self._held.detach()

    def __iter__(self) -> Iterator[bytes]:
        writer, header = ChunkWriter(), self.header
        yield from writer.start(encode(header))
        yield from writer.chunk(UNITS, 0, [np.array(self._state.lengths, "<i4").tobytes()])
        for index, (pixels, _) in enumerate(self._state.pending):
            yield from writer.chunk(FRAME, index, [pixels.cpu().numpy().astype("<f4").tobytes()])
        for layer in range(header.shape.layers):
            copy = self._held.next_layer()
            places = tracking.pack(copy.patches, copy.times, copy.positions)
            yield from writer.chunk(PLACES, layer, [places])
            bits = codec.bits_of(layer, header.shape.layers)
            for tag, numbers in (KEYS, copy.keys), (VALUES, copy.values):
                block = block_of(header, self._dtype, tag)
                parts = codec.encode(numbers, block, header.option, bits, copy.patches)
                yield from writer.chunk(tag, layer, parts)
            if len(copy.marks):
                yield from writer.chunk(MARKS, layer, [copy.marks.numpy().astype("<f4").tobytes()])
        yield from writer.end()


def block_of(header: Header, dtype: torch.dtype, tag: str) -> codec.Block:
    """What a chunk of keys or values holds."""
    shape = header.shape
    return codec.Block(
        shape.kv_heads, shape.prefix, header.memory.tokens, shape.head_dim, dtype, tag == KEYS
    )


def shape_record(shape: CacheShape) -> ShapeRecord:
    """A memory's shape as the header has it."""
    return ShapeRecord(**asdict(shape))


def _policy_record(policy: CompressionPolicy) -> PolicyRecord:
    if POLICIES.get(policy.name) is not type(policy):
        known = ", ".join(sorted(POLICIES))
        raise SnapshotError(
            f"the policy {policy.name!r} is none that another worker knows; known: {known}"
        )
    return PolicyRecord(policy.name, asdict(policy))


def _timeline_record(state: TimelineState) -> TimelineRecord:
    origin = state.origin
    return TimelineRecord(
        mode=state.mode,
        longest=state.longest,
        units=state.units,
        highest=state.highest,
        first_seconds=state.first,
        origin=OriginRecord(origin.unit, origin.seconds, origin.position) if origin else None,
    )


def _watching_record(state: SessionState) -> WatchingRecord:
    grid = state.grid
    return WatchingRecord(
        frames=state.frames,
        newest=None if math.isinf(state.newest) else state.newest,
        grid=GridRecord(grid.rows, grid.columns, grid.height, grid.width) if grid else None,
        pending=[seconds for _, seconds in state.pending],
        units=len(state.lengths),
    )
