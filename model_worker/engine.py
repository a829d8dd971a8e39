"""The engine: one loaded checkpoint that opens sessions. It knows no broker and no HTTP."""

from collections.abc import Generator, Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, get_args

import torch

from model_worker.checkpoint import ModelError, load_checkpoint, read_model_type, resolve_folder
from model_worker.device import free_bytes
from model_worker.families import find_family
from model_worker.families.base import FamilyAdapter
from model_worker.identity import identify_template
from model_worker.memory.cache import CacheShape
from model_worker.memory.container import SnapshotError
from model_worker.memory.policies import DEFAULT, POLICIES, make_policy
from model_worker.memory.policies.base import CompressionPolicy
from model_worker.memory.pool import KVPool
from model_worker.session import Session
from model_worker.snapshot import Snapshot
from model_worker.snapshot_header import ModelIdentity, Note, Option
from model_worker.snapshot_reader import SnapshotReader
from model_worker.timeline import Positions

__all__ = ["Engine", "ModelError"]

_BUDGET_UNITS = 24
_BLOCK_UNITS = 8
_SCRATCH_TOKENS = 1024
_PREFIX_TOKENS = 1024
_SMALL_MODEL = 50_000_000  # parameters
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


class Engine:
    """A model on a device. Sessions share its weights, and the pool that their memories are
    extents of; `reserve` gives the pool a bound."""

    def __init__(self, adapter: FamilyAdapter, name: str) -> None:
        self.adapter = adapter
        self.name = name
        self.family: str = adapter.config.model_type
        self.device = adapter.device
        self.frame_size = adapter.frame_size
        self.max_pixels = adapter.max_pixels
        self.tokens_per_frame = -(-adapter.most_tokens_per_unit // adapter.frames_per_unit)
        self.pool = self._new_pool(None)
        self.default_policy = _chosen(name, adapter, "policy", DEFAULT, tuple(POLICIES))
        known = get_args(Positions)
        self.default_positions: Positions = _chosen(name, adapter, "positions", known[0], known)
        self.default_budget_tokens = self._default_budget()

    @classmethod
    def load(
        cls,
        model: str | Path,
        *,
        device: str = "auto",
        dtype: str = "auto",
        threads: int | None = None,
        revision: str | None = None,
        attention: str = "auto",
        quantization: str = "none",
    ) -> "Engine":
        """Load a checkpoint from a folder or a hub id, of which `revision` is a branch, tag or
        commit.

        `device` and `dtype` "auto" are CUDA with bfloat16 where there is one, else the CPU with
        float32. `threads` bounds the CPU threads of the whole process; None is one for a small
        model on a CPU, whose operations are over before a second thread is awake, and torch's
        choice for others. `attention` and `quantization`: see `load_checkpoint`. Raises
        ModelError.
        """
        chosen = _choose_device(device)
        if dtype == "auto":
            dtype = "bfloat16" if chosen.type == "cuda" else "float32"
        if dtype not in _DTYPES:
            raise ModelError(f"unknown dtype {dtype!r}; known: auto, {', '.join(_DTYPES)}")
        folder = resolve_folder(model, revision)
        family = find_family(read_model_type(folder))
        checkpoint = load_checkpoint(folder, chosen, _DTYPES[dtype], attention, quantization)
        if threads is None and chosen.type == "cpu":
            threads = 1 if checkpoint.model.num_parameters() < _SMALL_MODEL else None
        if threads is not None:
            torch.set_num_threads(threads)
        name = str(model) if not Path(model).expanduser().is_dir() else folder.resolve().name
        return cls(family(checkpoint), name)

    def reserve(self, kv_bytes: int) -> None:
        """Take the KV memory of all sessions together at once; more will never be taken.

        Raises ModelError where the device has less free, and ValueError where sessions are open.
        """
        if self.pool.used_tokens:
            raise ValueError("memory is reserved before the first session opens")
        free = free_bytes(self.device)
        if free is not None and kv_bytes > free:
            raise ModelError(
                f"the sessions' KV memory of {kv_bytes / 1e9:.2f} GB is more than the "
                f"{free / 1e9:.2f} GB that {self.device} has free: lower kv_bytes, max_sessions or "
                "budget_tokens"
            )
        try:
            self.pool = self._new_pool(kv_bytes // self.pool.bytes_per_token)
        except RuntimeError as error:  # torch.OutOfMemoryError is one
            raise ModelError(
                f"{self.device} does not give {kv_bytes / 1e9:.2f} GB of KV memory ({error}): "
                "lower kv_bytes, max_sessions or budget_tokens"
            ) from error

    def _new_pool(self, tokens: int | None) -> KVPool:
        adapter = self.adapter
        return KVPool(
            layers=adapter.layers,
            kv_heads=adapter.kv_heads,
            head_dim=adapter.head_dim,
            dtype=adapter.dtype,
            device=adapter.device,
            tokens=tokens,
        )

    def session_bytes(self, budget_tokens: int, instructions: str = "") -> int:
        """The bytes of KV memory that a session of this budget takes. Raises ValueError for a
        budget or instructions that cannot be."""
        return self._shape(budget_tokens, instructions).bytes(self.adapter.dtype)

    def cap_tokens(self, budget_tokens: int) -> int:
        """What the visual memory of a session of this budget never exceeds."""
        return self._shape(budget_tokens).cap

    def open_session(
        self,
        *,
        budget_tokens: int | None = None,
        policy: str | CompressionPolicy | None = None,
        history_turns: int = 4,
        longest_position: int | None = None,
        positions: Positions | None = None,
        instructions: str = "",
        block_units: int = _BLOCK_UNITS,
    ) -> Session:
        """Reserve a memory of `budget_tokens` visual tokens and one ingest block.

        `policy` and `positions` None are those that the checkpoint's `lookback.json` names, else
        InfiniPot-V and "native".
        `history_turns` earlier turns are prefilled again with a question. Positions are made
        compact before they reach `longest_position` (None: the model's trained range), or in
        every compression pass where `positions` is "compact". `instructions` are the system
        prompt. `block_units` is how many units come in between two compression passes; a snapshot
        takes the default alone. Raises ValueError where one of them cannot be or the device has no
        room, and PoolFull where what was reserved has none.
        """
        budget = self.default_budget_tokens if budget_tokens is None else budget_tokens
        positions = positions or self.default_positions
        if positions not in get_args(Positions):
            known = ", ".join(get_args(Positions))
            raise ValueError(f"unknown positions {positions!r}; known: {known}")
        shape = self._shape(budget, instructions, block_units)
        self._check_positions(shape, longest_position or self.adapter.longest_position)
        policy = policy or self.default_policy
        chosen = make_policy(policy) if isinstance(policy, str) else policy
        chosen.recent_frames(shape.cap, shape.budget, self.adapter.most_tokens_per_unit)
        self._check_bytes(shape)
        return Session(
            self.adapter,
            shape,
            chosen,
            self.pool,
            history_turns=history_turns,
            longest_position=longest_position,
            positions=positions,
            instructions=instructions,
        )

    @cached_property
    def identity(self) -> ModelIdentity:
        """What a snapshot has to be of to be read here."""
        weights, template = self.adapter.identity, identify_template(self.adapter)
        return ModelIdentity(self.name, self.family, weights, template)

    def snapshot(
        self, session: Session, option: Option = "exact", notes: Mapping[str, Note] | None = None
    ) -> Snapshot:
        """What `session` holds now, as bytes; see `Snapshot`.

        `option` "exact" goes on with the very same tokens, "8-bit" and "entropy" are smaller, see
        `memory.codec`. `notes` are the caller's own and come back in the header. Raises
        SnapshotError where the option is unknown or the policy is none of POLICIES.
        """
        return Snapshot(session, self.identity, option, notes)

    def restore(self, source: bytes | Iterable[bytes] | SnapshotReader) -> Session:
        """A session that goes on where the one in the snapshot stood.

        Raises SnapshotError for what is no whole snapshot of this model, or has no room here ever,
        and PoolFull where there is none now; then nothing has changed.
        """
        steps = self.restoring(source)
        while True:
            try:
                next(steps)
            except StopIteration as end:
                session: Session = end.value
                return session

    def restoring(
        self, source: bytes | Iterable[bytes] | SnapshotReader
    ) -> Generator[None, None, Session]:
        """`restore` chunk by chunk, so that other sessions' work can be done between two of them;
        closing it gives up."""
        reader = source if isinstance(source, SnapshotReader) else SnapshotReader(source)
        header = reader.header
        instructions, timeline = header.conversation.instructions, header.timeline
        reader.check_model(self.identity)
        try:
            shape = self._shape(header.shape.budget, instructions)
        except ValueError as error:
            raise SnapshotError(f"the snapshot's memory cannot be had here: {error}") from error
        reader.check_shape(shape)
        policy = reader.policy()
        self._check_pool(shape)
        try:
            session = self.open_session(
                budget_tokens=header.shape.budget,
                policy=policy,
                history_turns=header.conversation.history_turns,
                longest_position=timeline.longest,
                positions=timeline.mode,
                instructions=instructions,
            )
        except ValueError as error:
            raise SnapshotError(f"the snapshot's memory cannot be had here: {error}") from error
        try:
            yield from reader.read_into(session, self.adapter)
        except BaseException:
            session.close()
            raise
        return session

    def _check_pool(self, shape: CacheShape) -> None:
        """Raises SnapshotError for a memory that an empty pool has no room for."""
        reserved, wanted = self.pool.bytes, shape.bytes(self.adapter.dtype)
        if reserved is not None and wanted > reserved:
            raise SnapshotError(
                f"the snapshot's budget of {shape.budget} tokens takes {wanted / 1e6:.1f} MB and "
                f"all sessions here have {reserved / 1e6:.1f} MB together: raise kv_bytes, or read "
                "it on a larger worker"
            )

    def _default_budget(self) -> int:
        """As many units as usual, or what the positions of a model with few leave room for."""
        unit = self.adapter.most_tokens_per_unit
        taken = self._shape(unit)
        room = self.adapter.longest_position - taken.prefix - taken.scratch
        units = room // self.adapter.time_stride(unit) - 2 * _BLOCK_UNITS
        return max(1, min(_BUDGET_UNITS, units)) * unit

    def _check_positions(self, shape: CacheShape, longest: int) -> None:
        unit = self.adapter.most_tokens_per_unit
        units = (shape.cap + shape.block) // unit
        needed = shape.prefix + units * self.adapter.time_stride(unit) + shape.scratch
        if needed > longest:
            raise ValueError(
                f"a budget of {shape.budget} tokens needs {needed} positions and the model has "
                f"{longest}: lower budget_tokens"
            )

    def _check_bytes(self, shape: CacheShape) -> None:
        """Before anything is allocated; what was reserved is there."""
        free = free_bytes(self.device) if self.pool.bytes is None else None
        wanted = self.pool.used_bytes + shape.bytes(self.adapter.dtype)
        if free is not None and wanted > free:
            raise ValueError(
                f"a budget of {shape.budget} tokens takes {wanted / 1e9:.2f} GB and {self.device} "
                f"has {free / 1e9:.2f} GB free: lower budget_tokens"
            )

    def _shape(
        self, budget_tokens: int, instructions: str = "", block_units: int = _BLOCK_UNITS
    ) -> CacheShape:
        unit = self.adapter.most_tokens_per_unit
        if budget_tokens < unit:
            raise ValueError(
                f"a budget of {budget_tokens} tokens is less than one frame's {unit}: raise "
                "budget_tokens"
            )
        prefix = len(self.adapter.conversation([], "?", instructions)[0])
        if prefix > _PREFIX_TOKENS:
            raise ValueError(
                f"the instructions make {prefix} tokens stand before the video; "
                f"{_PREFIX_TOKENS} may: shorten them"
            )
        # An unfinished unit is shown to an answer from the scratch region.
        unfinished = unit if self.adapter.frames_per_unit > 1 else 0
        return CacheShape(
            layers=self.adapter.layers,
            kv_heads=self.adapter.kv_heads,
            head_dim=self.adapter.head_dim,
            prefix=prefix,
            budget=budget_tokens,
            block=block_units * unit,
            scratch=_SCRATCH_TOKENS + unfinished,
        )


def _choose_device(device: str) -> torch.device:
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
        torch.empty(0, device=chosen)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ModelError(f"the device {device!r} cannot be used here: {error}") from error
    return chosen


def _chosen(
    name: str, adapter: FamilyAdapter, setting: str, default: str, known: tuple[str, ...]
) -> Any:
    """What the checkpoint's `lookback.json` says. Raises ModelError where that is unknown."""
    value = adapter.measured.get(setting, default)
    if value not in known:
        listed = ", ".join(sorted(known))
        raise ModelError(f"{name} asks for unknown {setting} {value!r}; known: {listed}")
    return value
