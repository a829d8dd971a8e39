"""A session that is moved goes on as if it had not been."""

from itertools import cycle, islice, pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from model_worker.decoding import Sampling
from model_worker.engine import Engine
from model_worker.memory.container import SnapshotError
from model_worker.memory.policies.recency import Recency
from model_worker.session import Session
from model_worker.work import advance
from model_worker.work import see as look
from tests.model_worker.watching import FAMILIES, LATER, small, watched

Frames = list[NDArray[np.uint8]]
POLICIES = ("infinipot_v", "recency", "tar")
CALL = 7  # frames; no multiple of a unit or a block


@pytest.fixture(scope="module")
def others(checkpoints: dict[str, Path]) -> dict[str, Engine]:
    """The tiny checkpoints once more, as another worker has them."""
    return {name: Engine.load(folder) for name, folder in checkpoints.items()}


def see(session: Session, frames: Frames, first: int, last: int) -> None:
    """Frames from number `first` on, up to before `last`, one every 1.3 seconds."""
    shown = list(islice(cycle(frames), first, last))
    for at in range(0, len(shown), CALL):
        part = shown[at : at + CALL]
        session.watch_many(part, [1.3 * (first + at + i) for i in range(len(part))])


def ask(session: Session, question: str) -> str:
    return "".join(session.ask(question, Sampling(max_tokens=12)))


def assert_alike(one: Session, other: Session) -> None:
    ours, theirs = one.cache, other.cache
    end = ours.shape.prefix + ours.visual_length
    kept = slice(0, ours.visual_length)
    assert one.memory == other.memory
    assert torch.equal(ours.buffer[..., :end, :], theirs.buffer[..., :end, :])
    for name in ("patches", "times", "positions"):
        assert torch.equal(getattr(ours, name)[..., kept], getattr(theirs, name)[..., kept])
    assert ours.compactions == theirs.compactions
    state, found = one.state, other.state
    assert [seconds for _, seconds in state.pending] == [seconds for _, seconds in found.pending]
    assert all(
        torch.equal(frame, moved)
        for (frame, _), (moved, _) in zip(state.pending, found.pending, strict=True)
    )
    for name in ("policy", "timeline", "grid", "frames", "newest", "lengths", "turns"):
        assert getattr(state, name) == getattr(found, name), name
    assert (state.history_turns, state.turns_in_all) == (found.history_turns, found.turns_in_all)


@pytest.mark.usefixtures("small_units")
@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("positions", ["native", "compact"])
@pytest.mark.parametrize("family", FAMILIES + LATER)
def test_a_moved_session_says_what_it_would_have_said(
    engines: dict[str, Engine],
    others: dict[str, Engine],
    frames: Frames,
    family: str,
    positions: str,
    policy: str,
) -> None:
    """Cut where Qwen's units are half full, once before and once after the memory was compressed;
    then several passes more."""
    here, there = engines[family], others[family]
    stayed = here.open_session(
        budget_tokens=small(here, 24),
        policy=policy,
        positions=positions,  # type: ignore[arg-type]
        history_turns=2,
    )
    group = here.adapter.frames_per_unit
    cuts = [3, 15 * group + 1, 28 * group, 40 * group]
    see(stayed, frames, 0, cuts[0])
    ask(stayed, "what is it?")
    moved = there.restore(b"".join(here.snapshot(stayed)))
    for first, last in pairwise(cuts):
        assert_alike(stayed, moved)
        assert ask(stayed, "and now?") == ask(moved, "and now?")
        for session in (stayed, moved):
            see(session, frames, first, last)
        again = here.restore(b"".join(there.snapshot(moved)))
        moved.close()
        moved = again
    assert_alike(stayed, moved)
    assert stayed.memory.compressions >= 3
    assert stayed.transcript == moved.transcript
    assert ask(stayed, "what was it?") == ask(moved, "what was it?")
    stayed.close()
    moved.close()


def test_positions_that_were_made_compact_late_go_on_so(
    llava: Engine, others: dict[str, Engine], frames: Frames
) -> None:
    """Native positions, near the end of the model's range."""
    stayed = watched(llava, frames, longest_position=1400)
    moved = others["llava_onevision"].restore(b"".join(llava.snapshot(stayed)))
    for session in (stayed, moved):
        see(session, frames, 40, 400)
    assert stayed.cache.compactions > 1
    assert_alike(stayed, moved)
    assert ask(stayed, "?") == ask(moved, "?")


def test_a_session_that_saw_nothing_yet_is_moved_with_its_instructions(
    llava: Engine, others: dict[str, Engine], frames: Frames
) -> None:
    stayed = llava.open_session(budget_tokens=24, instructions="Be brief.")
    moved = others["llava_onevision"].restore(b"".join(llava.snapshot(stayed)))
    assert not moved.has_seen
    for session in (stayed, moved):
        see(session, frames, 0, 20)
    assert_alike(stayed, moved)
    assert ask(stayed, "?") == ask(moved, "?")


def test_notes_come_back(llava: Engine, frames: Frames) -> None:
    session = watched(llava, frames[:3])
    notes = {"captured_at": 12.5, "dropped": 3, "who": "Zoë", "late": None, "live": True}
    assert llava.snapshot(session, notes=notes).header.notes == notes


@pytest.mark.parametrize("detached", [False, True])
def test_the_session_goes_on_while_it_is_written(
    llava: Engine, others: dict[str, Engine], frames: Frames, detached: bool
) -> None:
    """Through frames, an answer, a compression pass and the session's end."""
    reference = watched(llava, frames[:20])
    session = watched(llava, frames[:20])
    snapshot = llava.snapshot(session)
    if detached:
        snapshot.detach()
    pieces = iter(snapshot)
    written = [next(pieces) for _ in range(12)]
    answer = session.ask("what?", Sampling(max_tokens=5))
    answer.step()
    while session.has_room:
        see(session, frames, session.state.frames, session.state.frames + 1)
    list(answer)
    neighbours = [llava.open_session(budget_tokens=24) for _ in range(2)]  # the pool moves extents
    written += [next(pieces) for _ in range(4)]
    before = session.memory.compressions
    see(session, frames, session.state.frames, session.state.frames + 20)
    assert session.memory.compressions > before
    written += [next(pieces) for _ in range(2)]
    session.close()
    moved = others["llava_onevision"].restore([*written, *pieces])
    assert_alike(reference, moved)
    for each in (reference, moved, *neighbours):
        each.close()


def test_a_session_with_an_answer_in_progress_is_written_without_it(
    llava: Engine, others: dict[str, Engine], frames: Frames
) -> None:
    reference = watched(llava, frames)
    session = watched(llava, frames)
    answer = session.ask("what is it?", Sampling(max_tokens=6))
    answer.step()
    assert session.cache.scratch_length > 0
    moved = others["llava_onevision"].restore(b"".join(llava.snapshot(session)))
    assert answer.running
    assert_alike(reference, moved)


@pytest.mark.usefixtures("small_units")
@pytest.mark.parametrize("option", ["8-bit", "entropy"])
@pytest.mark.parametrize("family", ["llava_onevision", "qwen3_vl"])
def test_smaller_snapshots_are_near_and_go_on(
    engines: dict[str, Engine], others: dict[str, Engine], frames: Frames, family: str, option: str
) -> None:
    engine = engines[family]
    session = watched(engine, frames, small(engine, 48))
    exact = sum(map(len, engine.snapshot(session)))
    data = b"".join(engine.snapshot(session, option))  # type: ignore[arg-type]
    assert len(data) < 0.6 * exact
    moved = others[family].restore(data)
    ours, theirs = session.cache, moved.cache
    prefix, end = ours.shape.prefix, ours.shape.prefix + ours.visual_length
    assert torch.equal(ours.buffer[..., :prefix, :], theirs.buffer[..., :prefix, :])
    kept = slice(0, ours.visual_length)
    assert torch.equal(ours.patches[..., kept], theirs.patches[..., kept])
    near, far = ours.buffer[..., prefix:end, :], theirs.buffer[..., prefix:end, :]
    assert 0 < float((near - far).norm() / near.norm()) < (0.01 if option == "8-bit" else 0.05)
    see(moved, frames, 40, 80)
    assert moved.memory.compressions > session.memory.compressions
    ask(moved, "?")


def test_frames_that_are_still_on_their_way_are_not_in_it(
    llava: Engine, others: dict[str, Engine], frames: Frames
) -> None:
    """They have passed the tower, and the decoder takes them next."""
    reference = watched(llava, frames[:10])
    session = watched(llava, frames[:10])
    watch, _ = session.prepare(frames[10:13], [10.0, 11.0, 12.0])
    assert not look(llava.adapter, [watch])
    moved = others["llava_onevision"].restore(b"".join(llava.snapshot(session)))
    assert_alike(reference, moved)
    assert not advance(llava.adapter, [watch])
    moved.watch_many(frames[10:13], [10.0, 11.0, 12.0])
    assert_alike(session, moved)


def test_reading_step_by_step_can_be_given_up(
    llava: Engine, others: dict[str, Engine], frames: Frames
) -> None:
    """Beside a session that goes on, and with others that come and move it in the pool."""
    other = others["llava_onevision"]
    session = watched(llava, frames)
    data = b"".join(llava.snapshot(session))
    used = other.pool.used_tokens
    steps = other.restoring(data)
    next(steps)
    assert other.pool.used_tokens > used
    steps.close()
    assert other.pool.used_tokens == used
    beside = other.open_session(budget_tokens=24)
    steps = other.restoring(data)
    for second in range(3):
        next(steps)
        beside.watch(frames[second], float(second))
    newcomer = other.open_session(budget_tokens=24)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            moved = end.value
            break
    assert_alike(session, moved)
    for each in (session, moved, beside, newcomer):
        each.close()


def test_a_memory_of_another_dtype_is_converted(
    checkpoints: dict[str, Path], llava: Engine, frames: Frames
) -> None:
    half = Engine.load(checkpoints["llava_onevision"], dtype="bfloat16")
    session = watched(half, frames)
    moved = llava.restore(b"".join(half.snapshot(session)))
    end = session.cache.shape.prefix + session.cache.visual_length
    found = moved.cache.buffer[..., :end, :]
    assert torch.equal(session.cache.buffer[..., :end, :].float(), found)


def test_unknown_options_and_policies_are_refused(llava: Engine, frames: Frames) -> None:
    class Mine(Recency):
        """A policy that no other worker has."""

    session = watched(llava, frames[:3], policy=Mine())
    with pytest.raises(SnapshotError, match="'recency' is none that another worker knows"):
        llava.snapshot(session)
    with pytest.raises(SnapshotError, match="unknown option '4-bit'; known: exact, 8-bit, entropy"):
        llava.snapshot(watched(llava, frames[:3]), "4-bit")  # type: ignore[arg-type]
