"""Positions of streams without an end."""

import pytest
import torch

from model_worker.decoding import Sampling
from model_worker.engine import Engine
from tests.model_worker.watching import FAMILIES, LATER, Frames, small, watched


@pytest.mark.parametrize("family", FAMILIES)
def test_positions_stay_in_the_trained_range_however_long_the_stream(
    engines: dict[str, Engine], frames: Frames, family: str
) -> None:
    engine = engines[family]
    budget = small(engine, 24)
    longest = 4000 if family == "qwen2_5_vl" else 1600  # which counts time in half seconds
    session = engine.open_session(budget_tokens=budget, longest_position=longest)
    cache = session._open_cache()
    highest = 0
    count = 900 if family == "llava_onevision" else 4000
    for start in range(0, count, 100):
        part = [frames[i % 40] for i in range(start, start + 100)]
        session.watch_many(part, [float(start + i) for i in range(100)])
        kept = cache.positions[..., : cache.visual_length]
        assert (kept.diff(dim=-1) >= 0).all()
        assert kept.min() >= cache.shape.prefix
        highest = max(highest, int(kept.max()))
        assert session._timeline.highest == max(int(kept.max()), session._timeline.highest)
        assert session._timeline.highest + 1024 < longest
    assert highest > 200
    assert session._timeline._origin is not None
    assert session._timeline._origin.unit > 0, "positions were made compact at least once"
    answer = session.ask("what?", Sampling(max_tokens=5))
    assert list(answer) is not None


@pytest.mark.parametrize("family", LATER)
@pytest.mark.usefixtures("small_units")
def test_units_with_words_stay_in_the_trained_range(
    engines: dict[str, Engine], frames: Frames, family: str
) -> None:
    engine = engines[family]
    longest = 1600 if family == "llava_next_video" else 2600
    session = engine.open_session(budget_tokens=small(engine, 24), longest_position=longest)
    cache = session._open_cache()
    for i in range(300):
        session.watch(frames[i % 40], float(i))
        assert (cache.positions[..., : cache.visual_length] <= session._timeline.highest).all()
        assert session._timeline.highest + 1024 < longest
    assert (cache.positions[..., : cache.visual_length].diff(dim=-1) >= 0).all()
    assert session._timeline._origin is not None
    assert session._timeline._origin.unit > 0, "positions were made compact at least once"
    assert list(session.ask("what?", Sampling(max_tokens=5))) is not None


@pytest.mark.parametrize("family", LATER)
def test_units_far_along_are_made_compact_like_near_ones(
    engines: dict[str, Engine], frames: Frames, family: str
) -> None:
    """Words and grid move together along each axis, and keys turn with them."""
    engine, kept = engines[family], []
    adapter = engine.adapter
    for begun in (0, 3000):
        session = engine.open_session(budget_tokens=800)
        session._timeline.highest += begun
        session.watch_many(frames[:24], [float(i) for i in range(24)])
        cache = session._open_cache()
        length = cache.visual_length
        before = cache.positions[..., :length].clone()
        assert session._grid is not None
        places, stride = adapter.slot(session._grid)
        cache.compact(adapter.time_frequencies(), stride, stride, 10**5, places)
        after = cache.positions[..., :length]
        same = cache.times[..., 1:length] == cache.times[..., : length - 1]
        assert torch.equal(before.diff(dim=-1)[same], after.diff(dim=-1)[same])
        assert after.max() < 3000
        kept.append((after, cache.visual_keys[0]))
    assert torch.equal(kept[0][0], kept[1][0])
    assert (kept[0][1] - kept[1][1]).abs().max() <= 1e-3


def test_a_stream_made_compact_answers_like_one_that_was_not(llava: Engine, frames: Frames) -> None:
    """Nothing was evicted between, so that only the rotation differs: none at all is lost."""
    session = watched(llava, frames[:10], budget=200)
    cache = session._open_cache()
    expected = cache.visual_keys.clone()
    adapter = llava.adapter
    shifted = cache.positions.clone()
    cache.positions += 3000
    cache.visual_keys.copy_(
        torch.stack(
            [
                _rotated(keys, shifted[i, :, :40], adapter.time_frequencies())
                for i, keys in enumerate(cache.visual_keys)
            ]
        )
    )
    end = cache.compact(adapter.time_frequencies(), 4, 4, 2000)
    assert end == cache.shape.prefix + 40
    assert torch.equal(cache.positions[..., :40], shifted[..., :40])
    assert (cache.visual_keys - expected).abs().max() <= 1e-3


def _rotated(keys: torch.Tensor, old: torch.Tensor, frequencies: torch.Tensor) -> torch.Tensor:
    """`keys` moved on by 3000 positions, in float64."""
    by = (old + 3000)[..., None].float() * frequencies
    by = by.double() - (old[..., None].float() * frequencies).double()
    first, second = keys.double().chunk(2, -1)
    return torch.cat(
        (first * by.cos() - second * by.sin(), second * by.cos() + first * by.sin()), -1
    ).float()


@pytest.mark.parametrize("family", [*FAMILIES, *LATER])
@pytest.mark.usefixtures("small_units")
def test_positions_are_compact_after_every_pass_where_that_is_wanted(
    engines: dict[str, Engine], frames: Frames, family: str
) -> None:
    """A memory of so many units takes so many units' positions, however old they are."""
    engine = engines[family]
    budget = small(engine, 24)
    native, compact = (
        engine.open_session(budget_tokens=budget, positions=mode)
        for mode in ("native", "compact")  # type: ignore[arg-type]
    )
    highest = seen = 0
    while compact.memory.compressions < 5:
        i, seen = seen, seen + 1
        native.watch(frames[i % 40], float(i))
        compact.watch(frames[i % 40], float(i))
        passes = compact.memory.compressions
        if passes == 3:
            highest = max(highest, compact._timeline.highest)
        elif passes > 3:
            assert compact._timeline.highest <= 2 * highest
    assert compact.memory.describe().position_compactions == 5
    assert native.memory.describe().position_compactions == 0
    assert native._timeline.highest > compact._timeline.highest
    assert compact.memory.describe().next_compaction_positions == 0
    assert (native.memory.describe().next_compaction_positions or 0) > 0
    assert list(compact.ask("what?", Sampling(max_tokens=3))) is not None
