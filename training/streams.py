"""What a stream shows, frame by frame: objects that come, stay a while and go.

Knows nothing about pixels or tensors.
"""

from dataclasses import dataclass

import numpy as np

from training.questions import Frame
from training.world import COLOUR_NAMES, OBJECT_NAMES, PLACE_NAMES, is_held_out


@dataclass(frozen=True, slots=True)
class StreamShape:
    """How a stream is laid out; times are frames (at 1 frame a second: seconds)."""

    frames: int
    mean_stay: float = 4.0
    empty_share: float = 0.25  # of the gaps between two objects
    return_share: float = 0.08  # of appearances that repeat an earlier object
    most_objects: int = 14


def combination(rng: np.random.Generator, obj: int | None, held_out: bool, used: set[int]) -> Frame:
    """A random (object, place, colour) on the wanted side of the split."""
    while True:
        candidate = int(rng.integers(len(OBJECT_NAMES))) if obj is None else obj
        place = int(rng.integers(len(PLACE_NAMES)))
        colour = int(rng.integers(len(COLOUR_NAMES)))
        if obj is None and candidate in used:
            continue
        if is_held_out(candidate, place, colour) == held_out:
            return Frame(candidate, place, colour)


def draw(shape: StreamShape, rng: np.random.Generator, held_out: bool = False) -> list[Frame]:
    """One stream of `shape.frames` frames."""
    frames: list[Frame] = []
    used: set[int] = set()
    last = -1
    while len(frames) < shape.frames:
        if rng.random() < shape.empty_share:
            colour = int(rng.integers(len(COLOUR_NAMES)))
            stay = 1 + int(rng.exponential(shape.mean_stay * 0.35))
            frames += [Frame(-1, 0, colour)] * stay
        elders = [obj for obj in used if obj != last]
        full = len(used) >= shape.most_objects
        if elders and (full or rng.random() < shape.return_share):
            scene = combination(rng, elders[rng.integers(len(elders))], held_out, used)
        else:
            scene = combination(rng, None, held_out, used)
        used.add(scene.obj)
        last = scene.obj
        stay = max(1, round(rng.gamma(3.0, shape.mean_stay / 3.0)))
        frames += [scene] * stay
    return frames[: shape.frames]


def shape_for(frames: int, rng: np.random.Generator) -> StreamShape:
    """A plausible layout for a stream of `frames` frames."""
    fastest = max(1.0, frames / 13.0)
    slowest = max(fastest, min(12.0, frames / 2.0))
    stay = float(np.exp(rng.uniform(np.log(fastest), np.log(slowest))))
    return StreamShape(frames, stay, float(rng.uniform(0.0, 0.5)), float(rng.uniform(0.0, 0.15)))
