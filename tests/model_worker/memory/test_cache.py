"""The bounded cache: its cap, what it tracks, its rollback."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from model_worker.memory.cache import BoundedCache, CacheShape
from model_worker.memory.packed import PackedCache, Segment
from model_worker.memory.policies import POLICIES, make_policy
from model_worker.memory.pool import KVPool
from tests.model_worker.memory.policies.memories import after, layout_of, tokens_of

SHAPE = CacheShape(layers=2, kv_heads=3, head_dim=8, prefix=5, budget=24, block=12, scratch=10)
PATCHES = 4
CPU = torch.device("cpu")


def new_cache(shape: CacheShape = SHAPE, marks: int = 0) -> BoundedCache:
    cache = BoundedCache(shape, torch.float32, CPU, marks=marks)
    write(cache, cache.begin_prefix(), torch.randn(shape.prefix, shape.head_dim))
    return cache


def write(cache: BoundedCache, segment: Segment, tokens: Tensor) -> None:
    """What a forward pass does: `[tokens, head_dim]` as keys and values of all layers."""
    shape = cache.shape
    states = tokens.expand(1, shape.kv_heads, *tokens.shape)
    packed = PackedCache([segment])
    for layer in range(shape.layers):
        packed.update(states + layer, states - layer, layer)


def watch(cache: BoundedCache, frame: int, seed: int) -> None:
    """Append a frame whose values spell its time and patches: value = [time, patch, noise ...]."""
    generator = torch.Generator().manual_seed(seed * 1000 + frame)
    tokens = torch.randn(PATCHES, cache.shape.head_dim, generator=generator)
    tokens[:, 0] = frame
    tokens[:, 1] = torch.arange(PATCHES)
    segment = cache.begin_visual(PATCHES)
    assert segment.end == cache.shape.prefix + cache.visual_length + PATCHES
    write(cache, segment, tokens)
    cache.commit_visual(
        torch.arange(PATCHES, dtype=torch.int32),
        torch.full((PATCHES,), float(frame), dtype=torch.float64),
        torch.arange(PATCHES) + frame * PATCHES,
    )


@settings(deadline=None, max_examples=40)
@given(
    name=st.sampled_from(sorted(name for name in POLICIES if POLICIES[name].drops)),
    budget=st.integers(2 * PATCHES, 30),
    block=st.integers(PATCHES, 14),
    frames=st.integers(1, 60),
    seed=st.integers(0, 10_000),
)
def test_holds_its_cap_and_knows_every_token(
    name: str, budget: int, block: int, frames: int, seed: int
) -> None:
    policy, layout = make_policy(name), layout_of(2, 2)
    cache = new_cache(replace(SHAPE, budget=budget, block=block), policy.marks)
    prefix = cache.buffer[:, :, :, : SHAPE.prefix].clone()
    address = cache.buffer.data_ptr()
    looks = torch.rand(len(policy.proxies), 2, 3, cache.shape.cap)
    recent = policy.recent_frames(cache.shape.cap, budget, PATCHES) * PATCHES
    for frame in range(frames):
        if cache.visual_room < PATCHES:
            cache.compress(policy, recent, looks, layout)
            assert cache.visual_length == budget
        watch(cache, frame, seed)
        if policy.marks:
            cache.arrive(policy, PATCHES, layout)
        assert cache.visual_length <= cache.peak_length <= cache.shape.cap
    assert cache.buffer.data_ptr() == address
    assert torch.equal(cache.buffer[:, :, :, : SHAPE.prefix], prefix)
    length = cache.visual_length
    if not policy.merges:
        values = cache.visual_values + torch.arange(SHAPE.layers)[:, None, None, None]
        assert torch.allclose(values[..., 0], cache.times[..., :length].float(), atol=1e-4)
        assert torch.allclose(values[..., 1], cache.patches[..., :length].float(), atol=1e-4)
    expected = cache.times[..., :length] * PATCHES + cache.patches[..., :length]
    assert torch.equal(cache.positions[..., :length].double(), expected)
    assert (expected.diff(dim=-1) > 0).all(), "seen in this order, and once"
    newest = torch.arange(PATCHES).expand(SHAPE.layers, SHAPE.kv_heads, PATCHES)
    assert torch.equal(cache.patches[..., length - PATCHES : length].long(), newest)


def test_keys_and_values_move_together() -> None:
    cache = new_cache()
    for frame in range(9):
        watch(cache, frame, 0)
    before = cache.visual_keys.clone()
    policy = make_policy("infinipot_v")
    tokens = tokens_of(before, cache.visual_values, cache.patches[..., :36])
    chosen = policy.choose(tokens, 4, 24)
    cache.compress(policy, 4)
    wide = chosen[..., None].expand(-1, -1, -1, SHAPE.head_dim)
    assert torch.equal(cache.visual_keys, before.gather(2, wide))


def test_marks_move_with_their_tokens() -> None:
    policy = make_policy("uniform")
    cache = new_cache(marks=1)
    for frame in range(50):
        if cache.visual_room < PATCHES:
            cache.compress(policy, PATCHES)
        watch(cache, frame, 0)
        cache.arrive(policy, PATCHES)
    kept = slice(0, cache.visual_length)
    assert torch.equal(cache.marks[0, ..., kept].double(), cache.times[..., kept])


def test_what_was_merged_stands_in_its_place() -> None:
    policy = make_policy("hermes")
    cache = new_cache(marks=1)
    for frame in range(9):
        watch(cache, frame, 0)
        cache.arrive(policy, PATCHES)
    looks, layout = torch.rand(2, 2, 3, 36), layout_of(2, 2)
    tokens = replace(
        tokens_of(cache.visual_keys.clone(), cache.visual_values.clone(), cache.patches[..., :36]),
        marks=cache.marks[..., :36].clone(),
        attention=looks,
        layout=layout,
    )
    chosen = policy.choose(tokens, 4, 24)
    keys, values = after(tokens, chosen, policy.merge(tokens, chosen))
    cache.compress(policy, 4, looks, layout)
    assert torch.equal(cache.visual_keys, keys)
    assert torch.equal(cache.visual_values, values)
    assert cache.marks[0, 1, 0, :24].tolist() == [13.0] + [1.0] * 23, "twelve more and itself"


def test_large_memories_are_shared_out_over_threads_with_the_same_result() -> None:
    shape = CacheShape(4, 2, 128, prefix=3, budget=3000, block=1200, scratch=8)
    caches = [BoundedCache(shape, torch.float32, CPU) for _ in range(2)]
    for cache, threads in zip(caches, (1, 3), strict=True):
        cache.buffer.normal_(generator=torch.Generator().manual_seed(0))
        cache.commit_visual(
            torch.arange(140).repeat(30), torch.arange(4200) // 140, torch.arange(4200)
        )
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        try:
            cache.compress(make_policy("infinipot_v"), 700)
        finally:
            torch.set_num_threads(before)
    assert torch.equal(caches[0].visual_keys, caches[1].visual_keys)
    assert torch.equal(caches[0].visual_values, caches[1].visual_values)
    assert torch.equal(caches[0].patches, caches[1].patches)


@settings(deadline=None, max_examples=20)
@given(chunks=st.lists(st.integers(1, 4), min_size=1, max_size=3), visible=st.integers(0, 3))
def test_rollback_leaves_visual_memory_bit_for_bit(chunks: list[int], visible: int) -> None:
    cache = new_cache()
    for frame in range(3):
        watch(cache, frame, 1)
    seen = visible * PATCHES
    before = cache.buffer[:, :, :, : SHAPE.prefix + SHAPE.cap].clone()
    for tokens in chunks[: SHAPE.scratch // 4]:
        segment = cache.begin_scratch(tokens, seen)
        write(cache, segment, torch.randn(tokens, SHAPE.head_dim))
        cache.commit_scratch(tokens)
    cache.rollback()
    assert cache.scratch_room == SHAPE.scratch
    assert torch.equal(cache.buffer[:, :, :, : SHAPE.prefix + SHAPE.cap], before)


def test_scratch_sees_what_was_there_when_it_was_asked_and_itself() -> None:
    cache = new_cache()
    watch(cache, 0, 0)
    write(cache, cache.begin_scratch(2, PATCHES), torch.randn(2, SHAPE.head_dim))
    cache.commit_scratch(2)
    watch(cache, 1, 0)  # comes while the answer is written
    segment = cache.begin_scratch(2, PATCHES)
    first = SHAPE.prefix + SHAPE.cap
    seen = set(range(SHAPE.prefix + PATCHES)) | {first, first + 1}
    mask = segment.mask()
    assert mask is not None
    assert mask.shape == (2, segment.end)
    assert set(mask[0].eq(0).nonzero()[:, 0].tolist()) == seen | {first + 2}
    assert set(mask[1].eq(0).nonzero()[:, 0].tolist()) == seen | {first + 2, first + 3}
    assert mask.eq(-torch.inf).logical_or(mask.eq(0)).all()


def test_what_is_not_committed_is_not_memory() -> None:
    cache = new_cache()
    write(cache, cache.begin_visual(PATCHES), torch.randn(PATCHES, SHAPE.head_dim))
    assert cache.visual_length == 0
    watch(cache, 0, 0)
    assert cache.visual_length == PATCHES


def test_no_pass_while_an_answer_is_in_progress() -> None:
    cache = new_cache()
    for frame in range(9):
        watch(cache, frame, 0)
    write(cache, cache.begin_scratch(1, 36), torch.randn(1, SHAPE.head_dim))
    cache.commit_scratch(1)
    with pytest.raises(AssertionError, match="answer"):
        cache.compress(make_policy("infinipot_v"), 4)


def test_writing_beyond_the_cap_is_refused() -> None:
    cache = new_cache()
    with pytest.raises(AssertionError, match="compress first"):
        cache.begin_visual(SHAPE.cap + 1)


def test_bytes_are_those_of_the_buffer() -> None:
    assert SHAPE.bytes(torch.float32) == new_cache().kv_bytes
    assert SHAPE.bytes(torch.bfloat16) == new_cache().kv_bytes // 2


@pytest.mark.parametrize("name", ["layers", "budget", "scratch"])
def test_sizes_below_one_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        replace(SHAPE, **{name: 0})


def test_sessions_in_one_pool_do_not_touch_each_other() -> None:
    pool = KVPool(layers=2, kv_heads=3, head_dim=8, dtype=torch.float32, device=CPU)
    one = BoundedCache(SHAPE, torch.float32, CPU, pool)
    other = BoundedCache(replace(SHAPE, budget=12), torch.float32, CPU, pool)
    for frame in range(5):
        watch(one, frame, 3)
    before = one.buffer.clone()
    for frame in range(6):
        watch(other, frame, 4)
    other.compress(make_policy("infinipot_v"), 4)
    assert torch.equal(one.buffer, before)
    assert pool.used_bytes == one.kv_bytes + other.kv_bytes
    kept = other.visual_keys.clone()
    one.free()
    BoundedCache(replace(SHAPE, budget=60), torch.float32, CPU, pool)  # others move aside for it
    assert torch.equal(other.visual_keys, kept)
