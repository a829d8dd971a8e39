"""A run goes on from its checkpoint, with the weights and the time that it had."""

import json
from pathlib import Path

import torch
from torch import nn

from training.optimise import Optimisers
from training.running import Run


def made(out: Path, minutes: float = 60.0) -> Run:
    stage = nn.Sequential(nn.Linear(4, 4))
    return Run(out, stage, Optimisers([stage], 1e-2, 1e-2), minutes)


def step(run: Run) -> None:
    run.stage(torch.ones(2, 4)).pow(2).sum().backward()
    run.count()
    run.optimisers.step(1.0)


def test_it_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    first = made(tmp_path / "run")
    for _ in range(3):
        step(first)
    first.note(loss=0.123456, kinds={"now": 1.0})
    first.save()
    again = made(tmp_path / "run")
    assert (again.step, again.minutes) == (3, first.minutes)
    step(first)
    step(again)
    for one, other in zip(first.stage.parameters(), again.stage.parameters(), strict=True):
        assert torch.equal(one, other)
    [row] = map(json.loads, (tmp_path / "run" / "log.jsonl").read_text().splitlines())
    assert row["step"] == 3 and row["loss"] == 0.1235 and row["kinds"] == {"now": 1.0}
    assert not list((tmp_path / "run").glob("*.partial"))


def test_it_is_over_after_its_time(tmp_path: Path) -> None:
    run = made(tmp_path, minutes=1e-9)
    assert not run.over
    step(run)
    assert run.over and run.due(50)
