"""Answers at the moment at which positions are made compact, beside those at an eviction."""

from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from transformers import AutoModelForImageTextToText

from benchmarks.scenes import Stream, read_scenes
from model_worker.decoding import Sampling
from model_worker.engine import Engine
from model_worker.session import Session
from model_worker.settings import SHIPPED_MODEL

Frames = list[NDArray[np.uint8]]
FAMILIES = (
    "llava_onevision",
    "qwen2_vl",
    "qwen2_5_vl",
    "qwen3_vl",
    "llava_next_video",
    "smolvlm",
    "internvl",
)
FAR = 10**6  # positions that are never reached


class Listener:
    """An engine whose answers' first logits are heard."""

    def __init__(self, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
        self.heard: list[torch.Tensor] = []
        head = engine.adapter.logits

        def listen(hidden: torch.Tensor) -> torch.Tensor:
            logits = head(hidden)
            self.heard.append(logits.reshape(-1, logits.shape[-1])[-1])
            return logits

        monkeypatch.setattr(engine.adapter, "logits", listen)

    def ask(self, session: Session) -> torch.Tensor:
        """`[vocabulary]`: of the first token of an answer about all that was seen."""
        self.heard.clear()
        list(session.ask("what is it now?", Sampling(max_tokens=1)))
        return self.heard[0]


def jumps(
    engine: Engine, frames: Frames, budget: int, passes: int, monkeypatch: pytest.MonkeyPatch
) -> torch.Tensor:
    """Greatest changes of a logit at each compression pass of a stream that shows `frames` over
    and over, `[passes, 4]`: by this pass's eviction alone; by all evictions so far; by then making
    positions compact alone; and whether the likeliest token stays the same by the last.

    Each pass meets positions that were never made compact before, as a lazy compaction does.
    """
    listener = Listener(engine, monkeypatch)
    session, whole = (
        engine.open_session(budget_tokens=tokens, history_turns=0, longest_position=FAR)
        for tokens in (budget, 100 * budget)
    )
    cache, timeline, found = session._open_cache(), session._timeline, []
    for second, frame in enumerate(cycle(frames)):
        if len(found) == passes:
            break
        for each in (session, whole):
            each.watch(frame, float(second))
        grid = session._grid
        assert grid is not None
        if cache.visual_room >= engine.adapter.unit_tokens(grid) or session._pending:
            continue
        before, nothing_evicted = listener.ask(session), listener.ask(whole)
        session._compressor.make_room(cache, timeline, grid)
        evicted = listener.ask(session)
        kept = cache.visual_keys.clone(), cache.positions.clone()
        place = timeline._origin, timeline.highest
        timeline._mode = "compact"
        timeline.compact(cache, session._compressor.fewest_tokens, grid)
        compact = listener.ask(session)
        cache.visual_keys.copy_(kept[0])
        cache.positions.copy_(kept[1])
        timeline._origin, timeline.highest = place
        timeline._mode = "native"
        assert torch.equal(listener.ask(session), evicted)
        changes = before - evicted, nothing_evicted - evicted, compact - evicted
        same = float(compact.argmax() == evicted.argmax())
        found.append([*(float(change.abs().max()) for change in changes), same])
    for each in (session, whole):
        each.close()
    return torch.tensor(found)


@pytest.mark.parametrize("family", FAMILIES)
def test_compaction_moves_logits_less_than_the_eviction_before_it(
    checkpoints: dict[str, Path],
    tmp_path: Path,
    frames: Frames,
    family: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Random weights, a third as large as in the other tests: with those, attention is so steep
    that any change at all turns an answer over."""
    model: Any = AutoModelForImageTextToText.from_pretrained(checkpoints[family])
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "vision" not in name and weight.dim() == 2:
                weight /= 3
    model.save_pretrained(tmp_path)
    for file in checkpoints[family].iterdir():
        if not (tmp_path / file.name).exists():
            (tmp_path / file.name).write_bytes(file.read_bytes())
    engine = Engine.load(tmp_path, threads=1)
    budget = 6 * engine.adapter.most_tokens_per_unit
    changes = jumps(engine, frames, budget, 4, monkeypatch)
    eviction, _, compaction, _ = changes.mean(dim=0).tolist()
    assert eviction > 0.05
    assert 0 < compaction <= eviction


def test_the_embedded_model_mostly_begins_its_answer_as_before_compaction(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It learned how long ago things were from positions, so that closing all gaps of a stream at
    once moves its logits more than evictions do; in 14 of 16 cases it begins with the same word."""
    engine = Engine.load(SHIPPED_MODEL, threads=1)
    stream = Stream(read_scenes(engine.frame_size, engine.max_pixels), 0)
    frames = [stream.next() for _ in range(160)]
    changes = jumps(engine, frames, engine.default_budget_tokens, 16, monkeypatch)
    _, evictions, compaction, same = changes.mean(dim=0).tolist()
    assert evictions > 0.5 and 0 < compaction <= 2 * evictions
    assert same >= 0.75
