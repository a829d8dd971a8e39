"""A session's KV memory: an extent of the pool, allocated once, that cannot grow.

It is `[layers, 2, kv_heads, capacity, head_dim]` (2: keys, values) and its token axis is
`prefix | visual (budget + one ingest block) | scratch`. It knows nothing of models or time: the
session says what it writes, and a policy what stays.
"""

import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import torch
from torch import Tensor

from model_worker.memory.hold import HeldMemory
from model_worker.memory.packed import Segment
from model_worker.memory.policies.base import CompressionPolicy, Merged
from model_worker.memory.policies.tokens import Layout, VisualTokens
from model_worker.memory.pool import Extent, KVPool
from model_worker.memory.rotation import compact, rotate

_CHUNK = 1024  # tokens moved at once: in a core's cache, yet worth the call
_LARGE = 1 << 22  # numbers of keys in a memory that is compressed layer by layer


@dataclass(frozen=True)
class CacheShape:
    """The sizes of a memory; lengths in tokens."""

    layers: int
    kv_heads: int
    head_dim: int
    prefix: int
    budget: int
    block: int
    scratch: int

    def __post_init__(self) -> None:
        for name in ("layers", "kv_heads", "head_dim", "budget", "block", "scratch"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")

    @property
    def cap(self) -> int:
        """What the visual region can hold and never exceed."""
        return self.budget + self.block

    @property
    def capacity(self) -> int:
        return self.prefix + self.cap + self.scratch

    def bytes(self, dtype: torch.dtype) -> int:
        """The bytes of keys and values of the whole buffer."""
        per_token = self.layers * 2 * self.kv_heads * self.head_dim * dtype.itemsize
        return per_token * self.capacity


class BoundedCache:
    """A visual memory that a policy compresses, with a prefix before and a scratch region behind.

    Per kept visual token, layer and KV head it keeps `patches` (index of the patch in its frame),
    `times` (seconds) and `positions` (rotary position along time), each
    `[layers, kv_heads, budget + block]`, and the `marks` of its policy,
    `[marks, layers, kv_heads, budget + block]`. `begin_*` say what the next forward pass writes,
    and `commit_*` that it has done so. Raises PoolFull where `pool` has no room.
    """

    def __init__(
        self,
        shape: CacheShape,
        dtype: torch.dtype,
        device: torch.device,
        pool: KVPool | None = None,
        marks: int = 0,
    ) -> None:
        self.shape = shape
        self._pool = pool or KVPool(
            layers=shape.layers,
            kv_heads=shape.kv_heads,
            head_dim=shape.head_dim,
            dtype=dtype,
            device=device,
            tokens=shape.capacity,
        )
        self._extent: Extent | None = self._pool.allocate(shape.capacity)
        # Whoever forgets a session without closing it takes no memory along.
        self._release = weakref.finalize(self, self._pool.free, self._extent)
        tracked = (shape.layers, shape.kv_heads, shape.cap)
        self.patches = torch.zeros(tracked, dtype=torch.int32, device=device)
        self.times = torch.zeros(tracked, dtype=torch.float64, device=device)
        self.positions = torch.zeros(tracked, dtype=torch.int32, device=device)
        self.marks = torch.zeros((marks, *tracked), dtype=torch.float32, device=device)
        self.visual_length = 0
        self.scratch_length = 0
        self.peak_length = 0
        self.compressions = 0
        self.compactions = 0
        self._holders: weakref.WeakSet[HeldMemory] = weakref.WeakSet()

    @property
    def buffer(self) -> Tensor:
        """`[layers, 2, kv_heads, capacity, head_dim]`, a view that holds until another session
        opens."""
        return self._pool.view(self._held)

    @property
    def _held(self) -> Extent:
        assert self._extent is not None, "the memory was freed"
        return self._extent

    def free(self) -> None:
        """Give the memory back to the pool."""
        self._detach()
        self._release()
        self._extent = None

    def hold(self) -> HeldMemory:
        """What is kept now, to be read layer by layer while more is appended."""
        held = HeldMemory(self)
        self._holders.add(held)
        return held

    def _detach(self) -> None:
        """Before something is overwritten."""
        for held in list(self._holders):
            held.detach()
        self._holders.clear()

    @property
    def kv_bytes(self) -> int:
        return self.shape.capacity * self._pool.bytes_per_token

    @property
    def visual_keys(self) -> Tensor:
        """`[layers, kv_heads, visual_length, head_dim]`, a view."""
        start = self.shape.prefix
        return self.buffer[:, 0, :, start : start + self.visual_length]

    @property
    def visual_values(self) -> Tensor:
        """`[layers, kv_heads, visual_length, head_dim]`, a view."""
        start = self.shape.prefix
        return self.buffer[:, 1, :, start : start + self.visual_length]

    @property
    def visual_room(self) -> int:
        """How many tokens can be appended before a compression pass."""
        return self.shape.cap - self.visual_length

    @property
    def scratch_room(self) -> int:
        return self.shape.scratch - self.scratch_length

    def begin_prefix(self) -> Segment:
        """The next forward writes the whole prefix."""
        assert self.visual_length == 0
        return self._segment(0, self.shape.prefix)

    def begin_visual(self, tokens: int) -> Segment:
        """The next forward writes `tokens` visual tokens, which `commit_visual` makes part of
        memory."""
        assert 0 < tokens <= self.visual_room, "compress first"
        return self._segment(self.shape.prefix + self.visual_length, tokens)

    def commit_visual(self, patches: Tensor, times: Tensor, positions: Tensor) -> None:
        """The tokens that were just written are memory now; each argument `[tokens]`."""
        start, end = self.visual_length, self.visual_length + len(patches)
        assert end <= self.shape.cap
        self.patches[:, :, start:end] = patches
        self.times[:, :, start:end] = times
        self.positions[:, :, start:end] = positions
        self.visual_length = end
        self.peak_length = max(self.peak_length, end)

    def begin_scratch(self, tokens: int, visible: int) -> Segment:
        """The next forward writes `tokens` scratch tokens, which see the prefix, the first
        `visible` visual tokens and the scratch before them. `commit_scratch` keeps them."""
        assert 0 < tokens <= self.scratch_room
        first = self.shape.prefix + self.shape.cap
        hidden = (self.shape.prefix + visible, first)
        return self._segment(first + self.scratch_length, tokens, hidden)

    def _segment(self, at: int, tokens: int, hidden: tuple[int, int] = (0, 0)) -> Segment:
        return Segment(self._pool, self._held, at, tokens, hidden)

    def commit_scratch(self, tokens: int) -> None:
        """The scratch tokens that were just written are seen by the next ones."""
        self.scratch_length += tokens
        assert self.scratch_length <= self.shape.scratch

    def rollback(self) -> None:
        """Forget the scratch region. The visual memory was never touched."""
        self.scratch_length = 0

    def arrive(self, policy: CompressionPolicy, new: int, layout: Layout | None = None) -> None:
        """Let `policy` mark the last `new` tokens, which were just committed."""
        everything = slice(0, self.shape.layers)
        policy.arrive(self._tokens(everything, self._unattended, layout), new)

    def compress(
        self,
        policy: CompressionPolicy,
        recent_tokens: int,
        attention: Tensor | None = None,
        layout: Layout | None = None,
    ) -> None:
        """Keep `budget` visual tokens per layer and head, chosen by `policy`, moved in place.
        `attention` and `layout` are those of `VisualTokens`."""
        assert self.scratch_length == 0, "an answer is in progress"
        assert self.visual_length > self.shape.budget
        self._detach()
        looked_at = self._unattended if attention is None else attention

        def compress_layers(layers: slice) -> None:
            tokens = self._tokens(layers, looked_at, layout)
            chosen = policy.choose(tokens, recent_tokens, self.shape.budget)
            merged = policy.merge(tokens, chosen) if policy.merges else None
            self._move(layers, chosen, recent_tokens)
            if merged is not None:
                self._replace(layers, merged)

        if policy.whole:
            compress_layers(slice(0, self.shape.layers))
        else:
            _share_out(compress_layers, self.visual_keys)
        self.visual_length = self.shape.budget
        self.compressions += 1

    @property
    def _unattended(self) -> Tensor:
        return self.marks.new_empty(0, *self.marks.shape[1:])

    def _tokens(self, layers: slice, attention: Tensor, layout: Layout | None) -> VisualTokens:
        """What a policy is told of these layers; views."""
        kept = slice(0, self.visual_length)
        return VisualTokens(
            keys=self.visual_keys[layers],
            values=self.visual_values[layers],
            patches=self.patches[layers, :, kept],
            times=self.times[layers, :, kept],
            positions=self.positions[layers, :, kept],
            marks=self.marks[:, layers, :, kept],
            attention=attention[:, layers, :, kept],
            layout=layout,
            first_layer=layers.start,
        )

    def compact(
        self,
        frequencies: Tensor,
        tokens_per_frame: int,
        stride: int,
        span: int,
        places: Tensor | None = None,
    ) -> int:
        """Give the visual tokens positions without gaps and turn their keys to them.

        The arguments are those of `rotation.compact` and `rotation.rotate`. `places`, int
        `[patches]`, is the place of each patch index among `tokens_per_frame`; None: the index
        itself. Returns the first free position.
        """
        assert self.scratch_length == 0, "an answer is in progress"
        self._detach()
        kept = slice(0, self.visual_length)
        patches = self.patches[..., kept]
        fresh, end = compact(
            self.times[..., kept],
            patches if places is None else places[patches],
            tokens_per_frame,
            stride,
            self.shape.prefix,
            span,
        )
        for layer, keys in enumerate(self.visual_keys):
            keys.copy_(rotate(keys, self.positions[layer, :, kept], fresh[layer], frequencies))
        self.positions[..., kept] = fresh
        self.compactions += 1
        return end

    def _move(self, layers: slice, chosen: Tensor, recent_tokens: int) -> None:
        """Bring the tokens `chosen` `[layers, kv_heads, budget]`, which end with the recent ones,
        to the front of the visual region.

        Chosen rows ascend, so none lies before its new place: what an earlier chunk overwrites,
        a later one does not read.
        """
        budget, shift = self.shape.budget, self.visual_length - self.shape.budget
        older = budget - recent_tokens
        visual = self.buffer[layers, :, :, self.shape.prefix :]
        step = _CHUNK if chosen.device.type == "cpu" else budget
        scratch = visual.new_empty(min(step, older), self.shape.head_dim)
        for layer, rows_by_head in zip(visual, chosen, strict=True):
            for part in layer:
                for tokens, rows in zip(part, rows_by_head, strict=True):
                    for first in range(0, older, step):
                        end = min(first + step, older)
                        moved = scratch[: end - first]
                        torch.index_select(tokens, 0, rows[first:end], out=moved)
                        tokens[first:end] = moved
        for first in range(older, budget, shift):
            end = min(first + shift, budget)
            visual[..., first:end, :] = visual[..., first + shift : end + shift, :]
        for tracked in (self.patches[layers], self.times[layers], self.positions[layers]):
            tracked[..., :budget] = tracked.gather(-1, chosen)
        for marks in self.marks[:, layers]:
            marks[..., :budget] = marks.gather(-1, chosen)

    def _replace(self, layers: slice, merged: Merged) -> None:
        """Put what was merged into its slots of the visual region."""
        layer, head, slot = merged.at
        for part, fresh in enumerate((merged.keys, merged.values)):
            visual = self.buffer[layers, part, :, self.shape.prefix :]
            visual[layer, head, slot] = fresh.to(visual.dtype)
        if merged.marks is not None:
            self.marks[:, layers][:, layer, head, slot] = merged.marks


def _share_out(work: Callable[[slice], None], keys: Tensor) -> None:
    """`work` on every layer of `[layers, ...]`: on all of a small memory at once, on those of a
    large one in turn, and on a CPU by several threads.

    Layers are shared out here because operations on chunks are too small for the threads inside
    `torch`, and larger operations would wait for the slowest thread at the end of each.
    """
    if keys.numel() < _LARGE:
        work(slice(0, len(keys)))
        return
    each = [slice(layer, layer + 1) for layer in range(len(keys))]
    threads_before = torch.get_num_threads()
    threads = min(len(keys), threads_before)
    if threads == 1 or keys.device.type != "cpu":
        for layer in each:
            work(layer)
        return
    # Each thread alone, or torch's own threads would come on top of these.
    pool = ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,))
    try:
        with pool:
            list(pool.map(work, each))
    finally:
        torch.set_num_threads(threads_before)
