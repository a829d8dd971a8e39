"""Every policy, by name, keeps what all of them promise: on tensors, and in sessions of every
family over streams ten times as long as the memory."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from model_worker.engine import Engine
from model_worker.frame import FrameError
from model_worker.memory.container import SnapshotError
from model_worker.memory.policies import POLICIES, make_policy
from model_worker.memory.policies.base import CompressionPolicy
from model_worker.session import Session
from tests.model_worker.memory.policies.memories import noise
from tests.model_worker.watching import Frames, small

ALL = sorted(POLICIES)
DROPPING = [name for name in ALL if POLICIES[name].drops]
BOTH = [
    ("llava_onevision", "native"),
    ("llava_onevision", "compact"),
    ("qwen2_vl", "compact"),
    ("qwen2_5_vl", "native"),
    ("qwen2_5_vl", "compact"),
    ("qwen3_vl", "native"),
    ("llava_next_video", "compact"),
    ("smolvlm", "native"),
    ("internvl", "compact"),
]
SMALL = pytest.mark.usefixtures("small_units")


# -- on tensors -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DROPPING)
@pytest.mark.parametrize(("recent", "budget"), [(6, 36), (12, 24), (24, 48), (6, 47), (6, 12)])
def test_keeps_the_budget_in_order_with_all_recent_tokens(
    name: str, recent: int, budget: int
) -> None:
    policy = make_policy(name)
    recent = min(recent, policy.most_recent_tokens(budget) // 6 * 6)
    tokens = noise(policy)
    kept = policy.choose(tokens, recent, budget)
    assert kept.shape == (2, 3, budget)
    assert kept.dtype == torch.int64
    assert (kept.diff(dim=-1) > 0).all()
    assert kept.min() >= 0
    assert torch.equal(kept[..., budget - recent :], torch.arange(48 - recent, 48).expand(2, 3, -1))
    assert torch.equal(policy.choose(tokens, recent, budget), kept), "the same again"


@pytest.mark.parametrize("name", DROPPING)
@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
def test_survives_what_is_no_number(name: str, bad: float) -> None:
    policy = make_policy(name)
    tokens = noise(policy)
    tokens.keys[:, :, 9, 2] = bad
    tokens.values[:, :, 15] = bad
    tokens.attention[..., 3] = bad
    if policy.marks:
        policy.arrive(tokens, 48)
    kept = policy.choose(tokens, 6, 24)
    assert (kept.diff(dim=-1) > 0).all()
    assert torch.equal(kept[..., -6:], torch.arange(42, 48).expand(2, 3, 6))
    assert tokens.marks.isfinite().all()
    everywhere = tokens.keys.fill_(bad), tokens.values.fill_(bad), tokens.attention.fill_(bad)
    assert everywhere
    assert (policy.choose(tokens, 6, 24).diff(dim=-1) > 0).all()


@pytest.mark.parametrize("name", DROPPING)
def test_marks_do_not_depend_on_how_many_frames_come_together(name: str) -> None:
    policy = make_policy(name)
    one_by_one = noise(policy)
    together = replace(one_by_one, marks=torch.zeros_like(one_by_one.marks))
    if policy.marks:
        policy.arrive(together, 48)
    assert torch.equal(together.marks, one_by_one.marks)


@pytest.mark.parametrize("name", [name for name in DROPPING if not POLICIES[name].whole])
def test_layers_may_come_one_by_one(name: str) -> None:
    policy = make_policy(name)
    tokens = noise(policy)
    kept = policy.choose(tokens, 6, 24)
    for layer in range(2):
        alone = tokens.layers(slice(layer, layer + 1))
        assert torch.equal(policy.choose(alone, 6, 24)[0], kept[layer])


@pytest.mark.parametrize("name", ALL)
def test_a_budget_without_room_for_one_frame_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="raise budget_tokens"):
        make_policy(name).recent_frames(cap_tokens=60, budget=5, tokens_per_frame=6)


@pytest.mark.parametrize("name", ALL)
def test_a_share_of_recent_frames_that_cannot_be_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="recent_ratio must lie between 0 and 1"):
        replace(make_policy(name), recent_ratio=1.5)


# -- in sessions ----------------------------------------------------------------------------------


def opened(engine: Engine, policy: CompressionPolicy, positions: str = "native") -> Session:
    return engine.open_session(
        budget_tokens=small(engine, 24),
        policy=policy,
        positions=positions,  # type: ignore[arg-type]
        longest_position=None,
    )


def watch(session: Session, frames: Frames, first: int, count: int) -> None:
    """Frames number `first` on, some at a time."""
    for start in range(first, first + count, 5):
        numbers = range(start, min(start + 5, first + count))
        session.watch_many([frames[i % len(frames)] for i in numbers], [float(i) for i in numbers])


def state(session: Session) -> list[torch.Tensor]:
    """All that a memory holds."""
    cache = session.cache
    kept = slice(0, cache.visual_length)
    end = cache.shape.prefix + cache.visual_length
    return [
        cache.buffer[:, :, :, :end].clone(),
        *(each[..., kept].clone() for each in (cache.patches, cache.times, cache.positions)),
        cache.marks[..., kept].clone(),
    ]


def same(one: list[torch.Tensor], other: list[torch.Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@SMALL
@pytest.mark.parametrize(("family", "positions"), BOTH)
@pytest.mark.parametrize("name", DROPPING)
def test_a_stream_ten_times_as_long_as_the_memory(
    name: str, family: str, positions: str, engines: dict[str, Engine], frames: Frames
) -> None:
    engine = engines[family]
    session = opened(engine, make_policy(name), positions)
    cap = session.memory.cap_tokens
    group = engine.adapter.frames_per_unit
    unit = 4 + sum(engine.adapter.text_room)
    horizon = 10 * (cap // unit) * group
    if (family, positions) != BOTH[0]:  # shorter, with more than one pass
        horizon //= 3 if sum(engine.adapter.text_room) else 5
    watch(session, frames, 0, horizon)
    memory, cache = session.memory, session.cache
    assert memory.compressions > 1
    assert memory.peak_tokens <= cap
    assert cache.scratch_length == 0
    kept = slice(0, cache.visual_length)
    times, patches = cache.times[..., kept], cache.patches[..., kept]
    assert (times.diff(dim=-1) >= 0).all()
    assert set(times.unique().tolist()) <= {float(i) for i in range(0, horizon, group)}
    assert patches.min() >= 0
    assert patches.max() < engine.adapter.unit_tokens(session._grid)  # type: ignore[arg-type]
    for layer_times, layer_patches in zip(times.flatten(0, 1), patches.flatten(0, 1), strict=True):
        seen = list(zip(layer_times.tolist(), layer_patches.tolist(), strict=True))
        assert len(set(seen)) == len(seen), "each token once"
    newest = session._compressor.lengths[-1]
    assert (times[..., -newest:] == times.max()).all(), "the newest frame is whole"
    assert cache.buffer.isfinite().all()
    assert "".join(session.ask("What?")) is not None


@SMALL
@pytest.mark.parametrize("family", ["llava_onevision", "qwen2_5_vl"])
@pytest.mark.parametrize("name", DROPPING)
def test_goes_on_identically_from_a_snapshot(
    name: str, family: str, engines: dict[str, Engine], frames: Frames
) -> None:
    engine = engines[family]
    session = opened(engine, make_policy(name))
    watch(session, frames, 0, 43)
    whole = b"".join(engine.snapshot(session))
    other = engine.restore(whole)
    assert same(state(session), state(other))
    watch(session, frames, 43, 30)
    watch(other, frames, 43, 30)
    assert session.memory.compressions > 2
    assert same(state(session), state(other))


@SMALL
@pytest.mark.parametrize("mark", [3e38, -3e38, 0.5])
@pytest.mark.parametrize("name", [name for name in DROPPING if POLICIES[name].marks])
def test_goes_on_from_marks_that_it_would_not_give(
    name: str, mark: float, llava: Engine, frames: Frames
) -> None:
    """As a forged snapshot may hold them; those that are no numbers are refused."""
    session = opened(llava, make_policy(name))
    watch(session, frames, 0, 20)
    session.cache.marks.fill_(mark)
    other = llava.restore(b"".join(llava.snapshot(session)))
    assert same(state(session), state(other))
    watch(other, frames, 20, 30)
    assert other.memory.compressions > 2
    assert other.cache.buffer.isfinite().all()
    session.cache.marks[-1, 1, 0, 3] = torch.nan
    with pytest.raises(SnapshotError, match=r"damaged in chunk MARK 1: .*NaN"):
        llava.restore(b"".join(llava.snapshot(session)))


@SMALL
@pytest.mark.parametrize("name", ALL)
def test_answers_and_proxy_questions_leave_the_memory_as_it_was(
    name: str, llava: Engine, frames: Frames
) -> None:
    policy = make_policy(name)
    session = opened(llava, policy)
    count = 60 if policy.drops else 12
    watch(session, frames, 0, count)
    before = state(session)
    "".join(session.ask("What is there?"))
    assert same(state(session), before)
    if policy.proxies:
        cache = session.cache
        kept = torch.zeros(0)
        original = cache.compress

        def noted(*given: object) -> None:
            nonlocal kept
            attention = given[2]
            assert isinstance(attention, torch.Tensor)
            assert cache.scratch_length == 0
            assert same(state(session), before)
            kept = attention

        cache.compress = noted  # type: ignore[assignment]
        session._compressor.make_room(cache, session._timeline, session._grid)  # type: ignore[arg-type]
        cache.compress = original  # type: ignore[method-assign]
        shape = cache.shape
        wanted = (len(policy.proxies), shape.layers, shape.kv_heads, cache.visual_length)
        assert kept.shape == wanted
        assert (kept >= 0).all()
        assert (kept.sum(-1) <= 1 + 1e-5).all()
        assert kept.std() > 0


def test_what_drops_nothing_refuses_what_does_not_fit(llava: Engine, frames: Frames) -> None:
    session = opened(llava, make_policy("full"))
    room = session.memory.cap_tokens // 4
    watch(session, frames, 0, room)
    with pytest.raises(FrameError, match=r"drops nothing and the memory of \d+ tokens is full"):
        session.watch(frames[0], float(room))
    assert session.memory.frames_seen == room
    assert session.memory.compressions == 0
    assert len(set(session.cache.times[0, 0].tolist())) == room
    assert np.isfinite(session.newest)
    assert "".join(session.ask("What?")) is not None


def test_the_document_has_a_row_for_each() -> None:
    text = Path("docs/policies.md").read_text()
    for name in ALL:
        assert f"\n| `{name}` | " in text


def test_an_unknown_policy_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"infinipot_v.*recency"):
        make_policy("newest")
