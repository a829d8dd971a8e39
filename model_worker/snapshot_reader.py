"""Reads a session from a file that `snapshot` wrote, or says why not.

Nothing of the file is trusted: checksums find accidents, and what a forger may write is looked at
before it is used. Memory is taken by arithmetic on the session's shape, never by what a length in
the file claims.
"""

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import pairwise

import numpy as np
from torch import Tensor

from model_worker.families.base import FamilyAdapter, Grid
from model_worker.families.template import Turn
from model_worker.memory import codec, tracking
from model_worker.memory.cache import BoundedCache, CacheShape
from model_worker.memory.container import ChunkReader, SnapshotError
from model_worker.memory.policies import POLICIES
from model_worker.memory.policies.base import CompressionPolicy
from model_worker.session import Session
from model_worker.snapshot import FRAME, KEYS, MARKS, PLACES, UNITS, VALUES, block_of, shape_record
from model_worker.snapshot_header import (
    Header,
    ModelIdentity,
    ShapeRecord,
    TimelineRecord,
    decode,
)
from model_worker.state import SessionState
from model_worker.timeline import Origin, TimelineState

_SIDE = 1 << 14  # pixels that a frame's side has at most


class SnapshotReader:
    """A snapshot that is being read: `header` at once, the rest into a session.

    Raises SnapshotError, as every method, for what is no whole and sound snapshot.
    """

    def __init__(self, source: bytes | Iterable[bytes]) -> None:
        self._chunks = ChunkReader(source)
        self.header = decode(self._chunks.header)

    def policy(self) -> CompressionPolicy:
        """The session's policy."""
        record = self.header.policy
        if record.name not in POLICIES:
            known = ", ".join(sorted(POLICIES))
            raise SnapshotError(
                f"the snapshot's policy {record.name!r} is unknown here; known: {known}"
            )
        try:
            return POLICIES[record.name](**record.parameters)
        except (TypeError, ValueError) as error:
            raise SnapshotError(
                f"the snapshot's policy {record.name!r} has other parameters here: {error}"
            ) from error

    def check_model(self, identity: ModelIdentity) -> None:
        """Whether it is of this model."""
        theirs = self.header.model
        if theirs.family != identity.family:
            raise SnapshotError(
                f"the snapshot is of {theirs.name}, a model of the family {theirs.family}; here is "
                f"{identity.name}, of {identity.family}"
            )
        if theirs.weights != identity.weights:
            raise SnapshotError(
                f"the snapshot is of {theirs.name} with weights {theirs.weights[:12]}; here is "
                f"{identity.name} with weights {identity.weights[:12]}, another model"
            )
        if theirs.template != identity.template:
            raise SnapshotError(
                "the snapshot was made with another chat template or tokenizer than "
                f"{identity.name} has here"
            )

    def check_shape(self, shape: CacheShape) -> None:
        """Whether its memory is one of this shape."""
        ours, found = shape_record(shape), self.header.shape
        for name in ShapeRecord.__struct_fields__:
            if getattr(ours, name) != getattr(found, name):
                raise SnapshotError(
                    f"the snapshot's memory has a {name} of {getattr(found, name)} and this one of "
                    f"{getattr(ours, name)}"
                )

    def read_into(self, session: Session, adapter: FamilyAdapter) -> Iterator[None]:
        """All that is left of the file, chunk by chunk, into a session that was just opened as the
        header says."""
        header, cache = self.header, session.cache
        grid = _grid(header, adapter)
        patches_in_unit = adapter.unit_tokens(grid) if grid else 0
        state = self._state(session.state, grid, patches_in_unit, adapter)
        tokens, shape = header.memory.tokens, header.shape
        end, dtype = shape.prefix + tokens, codec.DTYPES[header.dtype]
        for layer in range(shape.layers):
            least, most = 1, tracking.most_bytes(shape.kv_heads, tokens)
            places = self._chunks.chunk(PLACES, layer, least, most)
            with _in_chunk(PLACES, layer):
                patches, times, positions = tracking.unpack(
                    places, shape.kv_heads, tokens, patches_in_unit
                )
                if tokens and float(times.max()) > state.newest:
                    raise SnapshotError("its tokens are newer than the newest frame")
            cache.patches[layer, :, :tokens] = patches.to(cache.patches.device)
            cache.times[layer, :, :tokens] = times.to(cache.times.device)
            cache.positions[layer, :, :tokens] = positions.to(cache.positions.device)
            for part, tag in enumerate((KEYS, VALUES)):
                block = block_of(header, dtype, tag)
                data = self._chunks.chunk(tag, layer, *codec.sizes(block, header.option))
                with _in_chunk(tag, layer):
                    numbers = codec.decode(data, block, header.option, patches)
                    numbers = codec.finite(numbers.to(cache.buffer.dtype))
                cache.buffer[layer, part, :, :end] = numbers.to(cache.buffer.device)
                yield
            self._read_marks(cache, layer, tokens)
        self._chunks.end()
        cache.visual_length, cache.peak_length = tokens, header.memory.peak_tokens
        cache.compressions = header.memory.compressions
        cache.compactions = header.memory.compactions
        session.resume(state)

    def _read_marks(self, cache: BoundedCache, layer: int, tokens: int) -> None:
        marks = cache.marks[:, layer, :, :tokens]
        if not len(cache.marks):
            return
        size = 4 * marks.numel()
        data = self._chunks.chunk(MARKS, layer, size, size)
        with _in_chunk(MARKS, layer):
            marks.copy_(codec.finite(codec.floats(data)).view(marks.shape))

    def _state(
        self, fresh: SessionState, grid: Grid | None, most_tokens: int, adapter: FamilyAdapter
    ) -> SessionState:
        """What the header and the first chunks say, which has to be possible."""
        header = self.header
        seen, said, memory = header.watching, header.conversation, header.memory
        newest = -math.inf if seen.newest is None else seen.newest
        sound = (
            memory.tokens <= memory.peak_tokens <= header.shape.budget + header.shape.block
            and seen.units <= header.shape.budget + header.shape.block
            and len(seen.pending) < adapter.frames_per_unit
            and (grid is not None or not (memory.tokens or seen.pending or seen.units))
            and (seen.newest is None) == (seen.frames == 0)
            and (seen.frames > 0 or not (memory.tokens or seen.pending))
            and all(a <= b for a, b in pairwise([*seen.pending, newest]))
            and len(said.turns) <= min(said.history_turns, said.turns_in_all)
        )
        if not sound:
            raise SnapshotError("the snapshot contradicts itself in its header")
        data = self._chunks.chunk(UNITS, 0, 4 * seen.units, 4 * seen.units)
        lengths = np.frombuffer(data, "<i4")
        if ((lengths < 1) | (lengths > most_tokens)).any():
            raise SnapshotError("the snapshot has units of frames of an impossible length")
        pending = tuple(
            (self._frame(index, grid, adapter), seconds)
            for index, seconds in enumerate(seen.pending)
            if grid is not None
        )
        return SessionState(
            policy=fresh.policy,
            timeline=_timeline(header.timeline),
            grid=grid,
            frames=seen.frames,
            newest=newest,
            pending=pending,
            lengths=tuple(lengths.tolist()),
            instructions=fresh.instructions,
            history_turns=fresh.history_turns,
            turns=tuple(
                Turn(adapter.uncontrolled(turn.question), adapter.uncontrolled(turn.answer))
                for turn in said.turns
            ),
            turns_in_all=said.turns_in_all,
        )

    def _frame(self, index: int, grid: Grid, adapter: FamilyAdapter) -> Tensor:
        """Pixel values `[3, height, width]` of a frame that waits for the rest of its unit."""
        size = 3 * grid.height * grid.width * 4
        data = self._chunks.chunk(FRAME, index, size, size)
        pixels = codec.floats(data)
        with _in_chunk(FRAME, index):
            return codec.finite(pixels.view(3, grid.height, grid.width))


def _grid(header: Header, adapter: FamilyAdapter) -> Grid | None:
    """The grid of the session's frames, which has to be one that the model makes."""
    record = header.watching.grid
    if record is None:
        return None
    found = Grid(record.rows, record.columns, record.height, record.width)
    try:
        sound = max(record.height, record.width) <= _SIDE and (
            adapter.grid(record.width, record.height) == found
        )
    except ValueError:
        sound = False
    if not sound:
        raise SnapshotError("the snapshot is of frames of a size that the model does not take")
    return found


def _timeline(record: TimelineRecord) -> TimelineState:
    origin = record.origin
    return TimelineState(
        mode=record.mode,
        longest=record.longest,
        units=record.units,
        highest=record.highest,
        first=record.first_seconds,
        origin=Origin(origin.unit, origin.seconds, origin.position) if origin else None,
    )


@contextmanager
def _in_chunk(tag: str, index: int) -> Iterator[None]:
    try:
        yield
    except SnapshotError as error:
        raise SnapshotError(f"the snapshot is damaged in chunk {tag} {index}: {error}") from error
