"""A run of one stage: its CPU time, its checkpoint, its log. It goes on where it was stopped."""

import argparse
import json
import time
from pathlib import Path
from typing import Final

import torch
from torch import nn

from training.optimise import Optimisers

HAS_AMX: Final[bool] = torch.cpu._is_amx_tile_supported()


def options(
    about: str | None, minutes: float, muon_rate: float, adam_rate: float, seed: int
) -> argparse.ArgumentParser:
    """What both stages can be told, with their defaults."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=minutes, help="of CPU time")
    parser.add_argument("--muon-rate", type=float, default=muon_rate)
    parser.add_argument("--adam-rate", type=float, default=adam_rate)
    parser.add_argument(
        "--bf16", action=argparse.BooleanOptionalAction, default=HAS_AMX,
        help="twice as fast where the CPU has AMX, which is the default there",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=seed)
    return parser


class Run:
    """Of at most `minutes` of this process's CPU time, in the folder `out`."""

    def __init__(self, out: Path, stage: nn.Module, optimisers: Optimisers, minutes: float) -> None:
        self.stage, self.optimisers, self.most = stage, optimisers, minutes
        self.minutes, self.step = 0.0, 0
        self._file = out / "state.pt"
        self._log = out / "log.jsonl"
        out.mkdir(parents=True, exist_ok=True)
        if self._file.exists():
            state = torch.load(self._file, weights_only=True)
            stage.load_state_dict(state["stage"])
            optimisers.load_state_dict(state["optimisers"])
            self.minutes, self.step = state["spent"] / 60, state["step"]
        self._clock = time.process_time()

    @property
    def done(self) -> float:
        """Share of its time."""
        return self.minutes / self.most

    @property
    def over(self) -> bool:
        return self.done >= 1

    def count(self) -> None:
        """The time since the last call, before a step is taken."""
        now = time.process_time()
        self.minutes, self._clock = self.minutes + (now - self._clock) / 60, now
        self.step += 1

    def due(self, every: int) -> bool:
        """Whether a test or a checkpoint is: every so many steps, and at the end."""
        return self.step % every == 0 or self.over

    def note(self, **measures: object) -> None:
        """A line in the log, and on the terminal."""
        row = {"step": self.step, "minutes": self.minutes} | measures
        row = {k: round(v, 4) if isinstance(v, float) else v for k, v in row.items()}
        with self._log.open("a") as log:
            print(json.dumps(row), file=log)
        print(row, flush=True)

    def save(self) -> None:
        """A checkpoint, whole or not at all."""
        partial = self._file.with_suffix(".partial")
        saved = {"stage": self.stage.state_dict(), "optimisers": self.optimisers.state_dict()}
        torch.save(saved | {"spent": self.minutes * 60, "step": self.step}, partial)
        partial.replace(self._file)
