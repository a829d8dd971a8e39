"""The time-to-first-token benchmark works on a short stream."""

from pathlib import Path

import pytest
import torch

from benchmarks import BENCHMARKS, ttft
from model_worker.decoding import Sampling
from model_worker.engine import Engine
from training.checkpoint import build_model, build_tokenizer


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained checkpoint in the embedded model's shape."""
    folder = tmp_path_factory.mktemp("mini")
    tokenizer = build_tokenizer()
    build_model(tokenizer).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_reports_a_point_for_each_length(folder: Path) -> None:
    figures = BENCHMARKS["ttft"](model=folder, minutes=(1, 2), repeats=2)
    assert [point["minutes"] for point in figures["points"]] == [1, 2]
    assert len({point["kv_bytes"] for point in figures["points"]}) == 1
    for point in figures["points"]:
        assert point["ttft_seconds"] > 0
        assert point["prefill_again_seconds"] > 0


def test_prefilling_again_is_the_whole_conversation(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its logits are those of a session that evicted nothing."""
    engine = Engine.load(folder)
    frames = ttft._pictures(engine)
    logits: list[torch.Tensor] = []
    head = engine.adapter.logits
    monkeypatch.setattr(
        engine.adapter, "logits", lambda hidden: logits.append(head(hidden)) or logits[-1]
    )
    ttft._prefill_again(engine.adapter, frames, 70)
    session = engine.open_session(budget_tokens=900)
    session.watch_many([frames[i % 60] for i in range(70)], [float(i) for i in range(70)])
    session.ask(ttft.QUESTION, Sampling(max_tokens=1)).step()
    assert (logits[0] - logits[1]).abs().max() < 1e-4
