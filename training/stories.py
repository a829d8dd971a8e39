"""Cuts streams together from the takes of the bank.

Knows nothing about questions or wording.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.bank import Stored
from training.sight import Sight


@dataclass(frozen=True, slots=True)
class Shape:
    """How a stream is laid out; times are frames."""

    frames: int
    mean_stay: float  # of a shot
    plain: bool  # one large thing at a time
    return_share: float  # of takes that show an earlier object again
    most_objects: int


def shape_for(frames: int, rng: np.random.Generator, plain_share: float = 0.35) -> Shape:
    """A plausible layout for a stream of `frames` frames."""
    plain = bool(rng.random() < plain_share)
    most = int(rng.choice([8, 14, 30, 60]) if frames > 60 else 14)
    fastest = max(1.0, frames / (most * 1.2))
    slowest = max(fastest, min(20.0, frames / 2.0))
    stay = float(np.exp(rng.uniform(np.log(fastest), np.log(slowest))))
    if not plain:
        stay = max(1.0, stay * 0.7)  # most takes have more shots than one
    return Shape(frames, stay, plain, float(rng.uniform(0.0, 0.15)), most)


@dataclass(frozen=True, slots=True)
class Story:
    """What every frame shows, and the row of the bank that shows it."""

    sights: list[Sight]
    rows: NDArray[np.int64]


class Cutter:
    """Draws stories from takes."""

    def __init__(self, takes: Sequence[Stored]) -> None:
        self.takes = takes
        self.plain = [i for i, stored in enumerate(takes) if stored.take.plain]
        self.alone: dict[int, list[int]] = {}
        self.objects = [stored.take.objects for stored in takes]
        for i, objects in enumerate(self.objects):
            if len(objects) == 1:
                self.alone.setdefault(next(iter(objects)), []).append(i)
        self.plain_set = set(self.plain)

    def draw(self, shape: Shape, rng: np.random.Generator) -> Story:
        """One stream of `shape.frames` frames."""
        sights: list[Sight] = []
        rows: list[int] = []
        used: set[int] = set()
        while len(sights) < shape.frames:
            there = {thing.obj for thing in sights[-1].things} if sights else set()
            stored = self.takes[self._next(shape, used, there, rng)]
            used |= stored.take.objects
            for i, sight in enumerate(stored.take.shots):
                stay = max(1, round(rng.gamma(3.0, shape.mean_stay / 3.0)))
                sights += [sight] * stay
                first, end = stored.rows[i], stored.rows[i + 1]
                rows += rng.integers(first, end, stay).tolist()
        return Story(sights[: shape.frames], np.array(rows[: shape.frames], dtype=np.int64))

    def _next(self, shape: Shape, used: set[int], there: set[int], rng: np.random.Generator) -> int:
        elders = sorted(used - there)
        full = len(used) >= shape.most_objects
        if elders and (full or rng.random() < shape.return_share):
            choices = self.alone.get(elders[rng.integers(len(elders))], [])
            if shape.plain:
                choices = [i for i in choices if i in self.plain_set]
            if choices:
                return choices[rng.integers(len(choices))]
        for _ in range(60):
            at = int(rng.integers(len(self.plain if shape.plain else self.takes)))
            choice = self.plain[at] if shape.plain else at
            if not self.objects[choice] & (used | there):
                return choice
        # All new combinations are used up: anything that is not there at this moment.
        while True:
            at = int(rng.integers(len(self.plain if shape.plain else self.takes)))
            choice = self.plain[at] if shape.plain else at
            if not self.objects[choice] & there:
                return choice


def clock(frames: int, longest: int, rng: np.random.Generator, share: float) -> list[int]:
    """Seconds at which the frames were seen. In a `share` of the cases they lie apart, as what a
    bounded memory keeps of up to `longest` seconds does: evenly, or the further the older."""
    if frames < 2 or rng.random() >= share or longest <= frames:
        return list(range(frames))
    whole = np.exp(rng.uniform(np.log(frames), np.log(longest)))
    if rng.random() < 0.5:
        gaps = np.full(frames - 1, whole / frames)
    else:
        gaps = np.exp(rng.uniform(0, 4) * np.linspace(1, 0, frames - 1))
        gaps = gaps * rng.exponential(1.0, frames - 1)
        gaps = np.maximum(1, gaps * whole / gaps.sum())
    times = np.concatenate([[0], np.maximum(1, np.round(gaps)).cumsum()])
    return [int(t) for t in times]
