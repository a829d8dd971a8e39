"""An answer's work in bounded pieces."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from model_worker.decoding import Sampling
from model_worker.engine import Engine

Frames = list[NDArray[np.uint8]]


def test_long_prompts_are_prefilled_in_chunks(
    llava: Engine, frames: Frames, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = llava.open_session(budget_tokens=24)
    session.watch(frames[0], 0.0)
    lengths = []
    forward = llava.adapter.forward

    def spy(embeddings: torch.Tensor, *rest: torch.Tensor) -> torch.Tensor:
        lengths.append(len(embeddings))
        return forward(embeddings, *rest)

    monkeypatch.setattr(llava.adapter, "forward", spy)
    answer = session.ask("why " * 200, Sampling(max_tokens=3))
    assert lengths == [], "asking does no work"
    while answer.completion_tokens == 0:
        assert answer.step() is not None
    assert sum(lengths) == answer.prompt_tokens - 4 - len(llava.adapter.conversation([], "")[0])
    assert len(lengths) == 4
    assert max(lengths) == 256


def test_the_head_runs_only_where_a_token_is_predicted(
    llava: Engine, frames: Frames, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = []
    head = llava.adapter.model.lm_head
    handle = head.register_forward_hook(lambda _, inputs, __: rows.append(inputs[0].shape[0]))
    try:
        session = llava.open_session(budget_tokens=24)
        session.watch_many(frames, [float(i) for i in range(40)])
        assert rows == []
        answer = session.ask("why " * 100, Sampling(max_tokens=6, temperature=5.0, seed=2))
        list(answer)
    finally:
        handle.remove()
    assert rows == [1] * (answer.completion_tokens + (answer.status == "completed"))


def test_chunks_do_not_change_the_answer(
    llava: Engine, frames: Frames, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = llava.open_session(budget_tokens=24, history_turns=0)
    session.watch_many(frames, [float(i) for i in range(40)])
    texts = []
    for chunk in (256, 7):
        monkeypatch.setattr("model_worker.answer._CHUNK", chunk)
        texts.append("".join(session.ask("what was it before?", Sampling(max_tokens=20))))
    assert texts[0] == texts[1]


def test_an_end_of_turn_completes_the_answer(
    llava: Engine, frames: Frames, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = llava.open_session(budget_tokens=24)
    session.watch(frames[0], 0.0)
    answer = session.ask("what?")
    tokens = iter([*llava.adapter.tokenizer("né").input_ids, llava.adapter.tokenizer.eos_token_id])
    monkeypatch.setattr(answer._sampler, "choose", lambda logits: next(tokens))
    assert list(answer) == ["n", "é"]
    assert answer.status == "completed"
    assert answer.completion_tokens == 3
    assert session.transcript[0].answer == "né"
