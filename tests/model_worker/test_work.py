"""Sessions that work together do what each would do alone; one that fails, fails alone."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from model_worker.decoding import Sampling
from model_worker.engine import Engine
from model_worker.session import Answer, Session
from model_worker.work import advance
from tests.model_worker.watching import FAMILIES, LATER

Frames = list[NDArray[np.uint8]]


def open_sessions(engine: Engine, count: int) -> list[Session]:
    unit = engine.adapter.most_tokens_per_unit
    return [engine.open_session(budget_tokens=(3 + i) * unit) for i in range(count)]


def memory(session: Session) -> tuple[Tensor, Tensor]:
    cache = session._open_cache()
    return cache.visual_keys.clone(), cache.times[..., : cache.visual_length].clone()


@pytest.mark.parametrize("family", [*FAMILIES, *LATER])
@pytest.mark.usefixtures("small_units")
def test_together_is_as_alone(engines: dict[str, Engine], frames: Frames, family: str) -> None:
    """Watching (with compression passes), prefilling and decoding, all in the same passes."""
    engine, count = engines[family], 3
    alone, together = open_sessions(engine, count), open_sessions(engine, count)
    sampling = Sampling(max_tokens=6)
    texts: list[str] = []
    for i, session in enumerate(alone):
        for step in range(48):
            session.watch(frames[(step + i) % 40], float(step))
        texts.append("".join(session.ask(f"what {i}?", sampling)))
        for step in range(48, 51):
            session.watch(frames[(step + i) % 40], float(step))
    for step in range(48):
        watches = [
            session.prepare([frames[(step + i) % 40]], [float(step)])[0]
            for i, session in enumerate(together)
        ]
        assert advance(engine.adapter, watches) == {}
    answers = [session.ask(f"what {i}?", sampling) for i, session in enumerate(together)]
    step = 48
    while any(answer.running for answer in answers):
        works = [*answers]
        more = step < 51 and all(session.has_room for session in together)
        if more:
            works += [
                session.prepare([frames[(step + i) % 40]], [float(step)])[0]
                for i, session in enumerate(together)
            ]  # type: ignore[misc]
            step += 1
        assert advance(engine.adapter, works) == {}
    for late in range(step, 51):
        for i, session in enumerate(together):
            session.watch(frames[(late + i) % 40], float(late))
    assert [answer.text for answer in answers] == texts
    for one, other in zip(alone, together, strict=True):
        (keys, times), (other_keys, other_times) = memory(one), memory(other)
        assert torch.equal(times, other_times)
        assert (keys - other_keys).abs().max() <= 1e-3  # after 51 frames of rounding
        assert one.memory.compressions > 0


def test_the_tower_and_the_decoder_run_once_for_all(
    llava: Engine, frames: Frames, monkeypatch: pytest.MonkeyPatch
) -> None:
    sessions = open_sessions(llava, 4)
    for session in sessions:
        session.watch(frames[0], 0.0)
    answer = sessions[0].ask("what?")
    answer.step()
    calls: list[tuple[str, int]] = []
    encode, forward = llava.adapter.encode, llava.adapter.forward
    monkeypatch.setattr(
        llava.adapter, "encode", lambda *a: (calls.append(("encode", len(a[0]))), encode(*a))[1]
    )
    monkeypatch.setattr(
        llava.adapter, "forward", lambda *a: (calls.append(("forward", len(a[0]))), forward(*a))[1]
    )
    watches = [session.prepare([frames[1]], [1.0])[0] for session in sessions]
    advance(llava.adapter, [answer, *watches])
    tokens = llava.adapter.most_tokens_per_unit
    assert calls == [("encode", 4), ("forward", 1 + 4 * tokens)]


@pytest.mark.parametrize("stage", ["encode", "forward", "commit"])
def test_what_fails_fails_alone(
    llava: Engine, frames: Frames, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    sessions = open_sessions(llava, 3)
    watches = [session.prepare([frames[0]], [0.0])[0] for session in sessions]
    poisoned, adapter = watches[1], llava.adapter

    def break_on(name: str, is_poisoned: object) -> None:
        whole = getattr(adapter, name)

        def fail(first: Tensor, *rest: object) -> object:
            if is_poisoned(first):  # type: ignore[operator]
                raise RuntimeError("out of memory")
            return whole(first, *rest)

        monkeypatch.setattr(adapter, name, fail)

    if stage == "encode":
        assert poisoned._pixels is not None
        poisoned._pixels[:] = 77.0
        break_on("encode", lambda units: bool((units == 77.0).flatten(1).all(1).any()))
    elif stage == "forward":
        seen = poisoned.seen
        monkeypatch.setattr(poisoned, "seen", lambda visual: seen(torch.full_like(visual, 77.0)))
        break_on("forward", lambda row: bool((row == 77.0).any()))
    else:
        monkeypatch.setattr(
            poisoned, "commit", lambda logits: (_ for _ in ()).throw(RuntimeError("out of memory"))
        )
    failures = advance(adapter, watches)
    assert list(failures) == [1]
    assert "out of memory" in str(failures[1])
    assert [session.memory.frames_seen for session in sessions] == [1, 0, 1]
    monkeypatch.undo()
    sessions[1].watch(frames[1], 1.0)
    assert sessions[1].memory.frames_seen == 1


def test_an_answer_without_numbers_is_an_error_and_not_a_word(
    llava: Engine, frames: Frames, monkeypatch: pytest.MonkeyPatch
) -> None:
    sessions = open_sessions(llava, 2)
    for session in sessions:
        session.watch(frames[0], 0.0)
    sessions[0]._open_cache().visual_values.fill_(torch.nan)
    answers: list[Answer] = [session.ask("what?", Sampling(max_tokens=3)) for session in sessions]
    failures = advance(llava.adapter, answers)
    assert list(failures) == [0]
    assert "not numbers" in str(failures[0])
    assert [answer.status for answer in answers] == ["cancelled", "running"]
    assert sessions[0]._open_cache().scratch_length == 0
    assert "".join(answers[1])
