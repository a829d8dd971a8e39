"""What the vision tower makes of a stream, and how long that took.

Kept on disk where a folder is given, for runs that are repeated with other policies.
"""

import hashlib
import json
import time
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.recall.cell import EDITION, StreamName
from model_worker.engine import Engine
from model_worker.families.base import Grid


class Features:
    """The visual tokens of one stream, group by group. `known`: no frame has to be drawn."""

    def __init__(self, engine: Engine, stream: StreamName, art: str, folder: Path | None) -> None:
        self.tower_seconds = 0.0
        self._engine = engine
        self._path: Path | None = None
        self._groups: dict[str, Tensor] = {}
        if folder is not None:
            weights = [stream.__class__.__name__, asdict(stream), art, EDITION]
            named = json.dumps([weights, str(engine.adapter.identity)], sort_keys=True)
            digest = hashlib.sha256(named.encode()).hexdigest()[:16]
            self._path = folder / f"{stream.scenario}-{stream.minutes:g}-{digest}.pt"
        self.known = self._path is not None and self._path.exists()
        if self.known:
            assert self._path is not None
            kept = torch.load(self._path, weights_only=True, map_location=engine.device)
            self._groups, self.tower_seconds = kept["groups"], kept["seconds"]

    def take(self, seconds: range, units: Tensor, grid: Grid) -> Tensor:
        """`[units, tokens, hidden]` of pixel values `[units, frames, 3, height, width]`, those of
        the frames of `seconds`."""
        name = f"{seconds.start}-{seconds.stop}"
        if self.known:
            return self._groups[name]
        began = time.perf_counter()
        visual = self._engine.adapter.encode(units, grid)
        self.tower_seconds += time.perf_counter() - began
        if self._path is not None:
            self._groups[name] = visual
        return visual

    def save(self) -> None:
        """Keep them, where there is a folder."""
        if self._path is None or self.known:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = self._path.with_suffix(".part")
        torch.save({"groups": self._groups, "seconds": self.tower_seconds}, unfinished)
        unfinished.replace(self._path)
