"""A session watching: its cap, what stays, and frames that cannot be used."""

import math

import numpy as np
import pytest
import torch

from model_worker.engine import Engine
from model_worker.memory.cache import BoundedCache
from model_worker.session import FrameError
from tests.model_worker.watching import FAMILIES, LATER, Frames, small, watched


@pytest.mark.parametrize("family", FAMILIES)
def test_memory_stays_under_its_cap(
    engines: dict[str, Engine], frames: Frames, family: str
) -> None:
    engine = engines[family]
    session = engine.open_session(budget_tokens=small(engine, 24))
    cache = session._open_cache()
    address = cache.buffer.data_ptr()
    first = session.memory
    assert (first.tokens, first.frames_seen, first.span) == (0, 0, None)
    assert first.kv_bytes == engine.session_bytes(first.budget_tokens)
    units = first.cap_tokens // 4 + (first.cap_tokens - first.budget_tokens) // 4 + 2
    count = units * engine.adapter.frames_per_unit
    for i in range(count):
        session.watch(frames[i % len(frames)], 0.5 * i)
        assert session.memory.tokens <= first.cap_tokens
    memory = session.memory
    assert memory.compressions == 2
    assert memory.peak_tokens <= memory.cap_tokens == engine.cap_tokens(memory.budget_tokens)
    assert memory.frames_seen == count
    assert memory.span is not None
    assert memory.span[1] == 0.5 * (count - 1)
    assert cache.buffer.data_ptr() == address
    assert cache.buffer.isfinite().all()


@pytest.mark.parametrize("family", FAMILIES)
def test_frames_together_are_frames_one_by_one(
    engines: dict[str, Engine], frames: Frames, family: str
) -> None:
    """The same tokens are kept, also across compression passes."""
    engine = engines[family]
    one, many = (engine.open_session(budget_tokens=small(engine, 24)) for _ in range(2))
    count = 37 if family == "llava_onevision" else 901
    seen = [frames[i % len(frames)] for i in range(count)]
    for i, frame in enumerate(seen):
        one.watch(frame, float(i))
    for start in range(0, count, 150):
        part = seen[start : start + 150]
        assert many.watch_many(part, [float(start + i) for i in range(len(part))]) == len(part)
    first, second = one._open_cache(), many._open_cache()
    assert one.memory == many.memory
    assert one.memory.compressions >= 1
    assert torch.equal(first.times, second.times)
    assert torch.equal(first.patches, second.patches)
    length = first.visual_length
    assert torch.allclose(first.visual_keys, second.visual_keys, atol=1e-3)
    assert length == second.visual_length


@pytest.mark.parametrize("family", [*FAMILIES, *LATER])
@pytest.mark.usefixtures("small_units")
def test_what_is_kept_after_five_passes_is_what_was_seen(
    engines: dict[str, Engine], frames: Frames, family: str
) -> None:
    """Values of the first layer depend on a token alone: those of a kept token are those of the
    patch and the time that are kept with it."""
    engine = engines[family]
    group = engine.adapter.frames_per_unit
    session = engine.open_session(budget_tokens=small(engine, 24))
    shape, cap = session._open_cache().shape, session.memory.cap_tokens
    count = 0
    while session.memory.compressions < 5:
        session.watch(frames[count % 40], 0.7 * count)
        assert session.memory.tokens <= cap
        count += 1
    assert 1 <= session.memory.peak_tokens <= cap
    seen = engine.open_session(budget_tokens=count // group * cap // 8, longest_position=10**6)
    seen.watch_many([frames[i % 40] for i in range(count)], [0.7 * i for i in range(count)])
    assert seen.memory.compressions == 0
    dense, kept = seen._open_cache(), session._open_cache()
    length = dense.visual_length
    index = {place: i for i, place in enumerate(_places(dense, 0, 0))}
    assert len(index) == length, "a time and a patch name one token"
    most = engine.adapter.unit_tokens(session._choose_grid(frames[0]))
    recent = session._compressor.policy.recent_frames(cap, session.memory.budget_tokens, most) + 1
    newest = sorted({time for time, _ in index})[-recent]
    whole = [i for (time, _), i in index.items() if time >= newest]
    for layer in range(shape.layers):
        for head in range(shape.kv_heads):
            found = [index[place] for place in _places(kept, layer, head)]
            assert found == sorted(set(found)), "in the order in which they came, none twice"
            assert found[-len(whole) :] == whole, "the newest units are whole"
            if layer == 0:
                expected = dense.visual_values[0, head, found]
                assert torch.allclose(kept.visual_values[0, head], expected, atol=1e-5)


def _places(cache: BoundedCache, layer: int, head: int) -> list[tuple[float, int]]:
    """Time and patch of each kept token."""
    kept = slice(0, cache.visual_length)
    times, patches = cache.times[layer, head, kept], cache.patches[layer, head, kept]
    return list(zip(times.tolist(), patches.tolist(), strict=True))


@pytest.mark.parametrize("family", LATER)
@pytest.mark.usefixtures("small_units")
def test_units_with_words_are_the_same_together_and_one_by_one(
    engines: dict[str, Engine], frames: Frames, family: str
) -> None:
    engine = engines[family]
    one, many = (engine.open_session(budget_tokens=small(engine, 24)) for _ in range(2))
    count = 35
    for i in range(count):
        one.watch(frames[i], 7.0 * i)
    assert many.watch_many(frames[:count], [7.0 * i for i in range(count)]) == count
    first, second = one._open_cache(), many._open_cache()
    assert one.memory == many.memory
    assert one.memory.compressions >= 1
    assert torch.equal(first.times, second.times)
    assert torch.equal(first.patches, second.patches)
    assert torch.equal(first.positions, second.positions)
    assert torch.allclose(first.visual_keys, second.visual_keys, atol=1e-3)


def test_what_is_kept_is_from_all_of_the_stream(llava: Engine, frames: Frames) -> None:
    session = watched(llava, frames * 3, budget=48)
    cache = session._open_cache()
    times = cache.times[..., : cache.visual_length]
    assert times.min() < 60, "older than the cap could hold if only the newest stayed"
    window = watched(llava, frames * 3, budget=48, policy="recency")._open_cache()
    assert window.times[..., : window.visual_length].min() >= 120 - window.shape.cap // 4


@pytest.mark.parametrize(
    ("frame", "named"),
    [
        (np.zeros((32, 32, 3), dtype=np.float32), "uint8"),
        (np.zeros((32, 32), dtype=np.uint8), r"\[height, width, 3\]"),
        (np.zeros((32, 32, 4), dtype=np.uint8), r"\[height, width, 3\]"),
        (np.zeros((3, 32, 32), dtype=np.uint8), r"\[height, width, 3\]"),
        (np.zeros((1, 1, 3), dtype=np.uint8), "too small"),
        (np.zeros((15, 300, 3), dtype=np.uint8), "too small"),
        ([[0, 0, 0]], "uint8"),
    ],
)
def test_frames_that_cannot_be_used_are_refused(llava: Engine, frame: object, named: str) -> None:
    session = llava.open_session(budget_tokens=24)
    with pytest.raises(FrameError, match=named):
        session.watch(frame, 0.0)  # type: ignore[arg-type]
    assert session.memory.frames_seen == 0


def test_a_shape_that_the_family_cannot_take_is_refused(engines: dict[str, Engine]) -> None:
    session = engines["qwen2_vl"].open_session()
    with pytest.raises(FrameError, match="shape"):
        session.watch(np.zeros((16, 16 * 300, 3), dtype=np.uint8), 0.0)


@pytest.mark.parametrize("timestamp", [4.0, 3.9, -1.0, math.nan, math.inf])
def test_timestamps_must_rise(llava: Engine, frames: Frames, timestamp: float) -> None:
    session = watched(llava, frames[:5])
    with pytest.raises(FrameError, match="timestamp"):
        session.watch(frames[5], timestamp)
    session.watch(frames[5], 4.5)
    assert session.memory.frames_seen == 6


def test_of_several_frames_none_is_taken_where_one_is_wrong(llava: Engine, frames: Frames) -> None:
    session = watched(llava, frames[:2])
    with pytest.raises(FrameError, match="rise"):
        session.watch_many(frames[2:5], [2.0, 4.0, 3.0])
    with pytest.raises(FrameError, match="timestamps"):
        session.watch_many(frames[2:5], [2.0])
    assert session.memory.frames_seen == 2
    assert session.watch_many([], []) == 0


@pytest.mark.parametrize("family", [*FAMILIES, *LATER])
def test_frames_of_other_sizes_are_resized(engines: dict[str, Engine], family: str) -> None:
    session = engines[family].open_session()
    for i, size in enumerate([(480, 640), (360, 480), (64, 64), (1080, 1920), (17, 16)]):
        session.watch(np.zeros((*size, 3), dtype=np.uint8), float(i))
    assert session.memory.frames_seen == 5
    assert session.memory.tokens <= 5 * engines[family].adapter.most_tokens_per_unit


def test_a_read_only_or_flipped_frame_is_as_good_as_any(llava: Engine, frames: Frames) -> None:
    session = watched(llava, frames[:1])
    frozen = frames[1].copy()
    frozen.flags.writeable = False
    session.watch(frozen, 1.0)
    session.watch(np.zeros((48, 40, 3), dtype=np.uint8)[:, ::-1, ::-1], 2.0)
    assert session.memory.frames_seen == 3
