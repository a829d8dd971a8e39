"""A session asked: what an answer sees, what it leaves behind, and how it ends."""

import gc
import weakref
from unittest.mock import Mock

import pytest
import torch

from model_worker.decoding import Sampling
from model_worker.engine import Engine
from model_worker.session import SessionBusy
from tests.model_worker.watching import FAMILIES, LATER, Frames, small, watched


@pytest.mark.parametrize("family", [*FAMILIES, *LATER])
def test_an_answer_leaves_the_memory_bit_for_bit(
    engines: dict[str, Engine], frames: Frames, family: str
) -> None:
    engine = engines[family]
    session = watched(engine, frames[:21], small(engine, 24))
    cache = session._open_cache()
    visual = cache.buffer[:, :, :, : cache.shape.prefix + cache.shape.cap]
    before, memory = visual.clone(), session.memory
    answer = session.ask("what is it?", Sampling(max_tokens=9))
    pieces = list(answer)
    assert "".join(pieces) == answer.text
    assert answer.status in ("completed", "incomplete")
    assert 0 < answer.completion_tokens <= 9
    assert answer.span == memory.span
    assert torch.equal(visual, before)
    assert session.memory == memory
    assert cache.scratch_length == 0


def test_the_same_question_gets_the_same_answer(llava: Engine, frames: Frames) -> None:
    session = watched(llava, frames, history_turns=0)
    sampled = Sampling(max_tokens=20, temperature=1.0, seed=5)
    assert list(session.ask("what?", sampled)) == list(session.ask("what?", sampled))
    assert list(session.ask("what?")) == list(session.ask("what?"))


def test_an_aside_neither_sees_the_conversation_nor_becomes_part_of_it(
    llava: Engine, frames: Frames
) -> None:
    session = watched(llava, frames)
    alone = list(session.ask("what?", aside=True))
    assert session.transcript == []
    list(session.ask("where is it?"))
    said = session.transcript
    answer = session.ask("what?", aside=True)
    assert answer.turns_kept == 0
    assert list(answer) == alone
    assert session.transcript == said
    list(session.ask("and then?"))
    assert len(session.transcript) == 2


def test_a_smaller_block_makes_a_smaller_memory(llava: Engine, frames: Frames) -> None:
    unit = llava.adapter.most_tokens_per_unit
    session = watched(llava, frames, 2 * unit, block_units=1)
    assert session.memory.cap_tokens == 3 * unit == session.memory.peak_tokens
    assert session.memory.compressions == len(frames) - 3
    with pytest.raises(ValueError, match="block must be at least 1"):
        llava.open_session(budget_tokens=2 * unit, block_units=0)


@pytest.mark.parametrize("steps", [0, 1, 2, 5])
def test_a_cancelled_answer_stops_at_once_and_leaves_no_trace(
    llava: Engine, frames: Frames, steps: int
) -> None:
    session = watched(llava, frames)
    cache = session._open_cache()
    before = cache.visual_keys.clone(), cache.visual_values.clone()
    answer = session.ask("what is it?", Sampling(max_tokens=50, temperature=3.0, seed=1))
    for _ in range(steps):
        assert answer.step() is not None
    answer.cancel()
    assert answer.status == "cancelled"
    assert answer.step() is None
    assert cache.scratch_length == 0
    assert torch.equal(cache.visual_keys, before[0])
    assert torch.equal(cache.visual_values, before[1])
    assert session.transcript == []
    list(session.ask("and now?"))
    assert len(session.transcript) == 1
    answer.cancel()  # again, after another answer: nothing happens
    assert len(session.transcript) == 1


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt])
def test_an_exception_ends_the_answer_and_the_session_goes_on(
    llava: Engine, frames: Frames, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    session = watched(llava, frames)
    answer = session.ask("what is it?")
    answer.step()
    with monkeypatch.context() as patch:
        patch.setattr(answer._sampler, "choose", Mock(side_effect=error))
        with pytest.raises(error):
            answer.step()
    assert answer.status == "cancelled"
    assert session._open_cache().scratch_length == 0
    assert list(session.ask("what is it?")) is not None


@pytest.mark.parametrize("family", [*FAMILIES, *LATER])
def test_an_answer_does_not_see_what_comes_later(
    engines: dict[str, Engine], frames: Frames, family: str
) -> None:
    engine = engines[family]
    sampling = Sampling(max_tokens=16, temperature=1.0, seed=3)
    calm = list(watched(engine, frames[:5], small(engine, 24)).ask("what?", sampling))
    session = watched(engine, frames[:5], small(engine, 24))
    answer = session.ask("what?", sampling)
    pieces = []
    time = 4.0
    while (piece := answer.step()) is not None:
        pieces.append(piece)
        if session.can_watch:
            time += 1.0
            session.watch(frames[int(time) % 40], time)
    assert [piece for piece in pieces if piece] == calm
    assert answer.span == (0.0, 4.0)
    assert session.memory.span == (0.0, time)
    assert time > 5.0


def test_a_full_memory_waits_for_the_answer(llava: Engine, frames: Frames) -> None:
    session = llava.open_session(budget_tokens=24)  # room for 6 + 8 frames
    session.watch_many(frames[:12], [float(i) for i in range(12)])
    answer = session.ask("what is it?", Sampling(max_tokens=5))
    assert session.can_watch
    assert session.watch_many(frames[12:18], [float(i) for i in range(12, 18)]) == 2
    assert not session.can_watch
    with pytest.raises(SessionBusy, match="hold"):
        session.watch(frames[14], 14.0)
    assert session.memory.frames_seen == 14
    assert session.memory.compressions == 0
    list(answer)
    assert session.can_watch
    session.watch(frames[14], 14.0)
    assert session.memory.compressions == 1


def test_only_one_frame_is_enough_to_ask(engines: dict[str, Engine], frames: Frames) -> None:
    for family in [*FAMILIES, *LATER]:
        session = engines[family].open_session()
        session.watch(frames[0], 7.0)
        answer = session.ask("what?", Sampling(max_tokens=3))
        list(answer)
        assert answer.span == (7.0, 7.0)


def test_closing_frees_the_buffer_even_while_an_answer_is_held(
    llava: Engine, frames: Frames
) -> None:
    gc.collect()  # what other tests forgot
    before = llava.pool.used_bytes
    session = watched(llava, frames[:3])
    cache = weakref.ref(session._open_cache())
    answer = session.ask("what?")
    answer.step()
    session.close()
    session.close()
    gc.collect()
    assert cache() is None
    assert llava.pool.used_bytes == before
    assert answer.status == "cancelled"
    assert answer.step() is None
    for use in (lambda: session.ask("what?"), lambda: session.watch(frames[3], 3.0)):
        with pytest.raises(RuntimeError, match="closed"):
            use()
