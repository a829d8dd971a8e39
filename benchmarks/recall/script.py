"""What a stream shows from second to second. Knows nothing of pixels, models or questions."""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from benchmarks.recall.scenario import Scenario
from benchmarks.recall.world import COLOURS, HELD_OUT, NAMES, OUTER, PLACES

_UNIQUE: Final = 40  # objects that come once, at most
_REGULARS: Final = 12  # that come again and again; the other 12 never come
_REGULAR_SHARE: Final = 0.1  # of appearances, at least


@dataclass(frozen=True)
class Thing:
    """An object at a place, indices into NAMES and PLACES."""

    obj: int
    place: int


@dataclass(frozen=True)
class Shot:
    """What is seen from second `start` until before second `end`, on a ground of one colour."""

    start: int
    end: int
    things: tuple[Thing, ...]
    colour: int


@dataclass(frozen=True)
class Script:
    """A whole stream at one frame a second: shots without gaps between them."""

    scenario: Scenario
    seconds: int
    seed: tuple[int, ...]
    shots: tuple[Shot, ...]


def write(scenario: Scenario, seconds: int, number: int, seed: int) -> Script:
    """Stream `number` of a scenario and a length. The same arguments write the same stream.

    No object comes twice in a row, and of those that come twice none comes at once with another.
    """
    whole = (seed, zlib.crc32(scenario.name.encode()), seconds, number)
    rng = np.random.default_rng(whole)
    spans = list(_spans(scenario, seconds, rng))
    crowds = [_crowd(scenario, rng) if filled else 0 for _, _, filled in spans]
    cast = iter(_cast([crowd for crowd in crowds if crowd], rng))
    shots: list[Shot] = []
    ground, changes = int(rng.integers(len(COLOURS))), 0.0
    for (start, end, filled), _ in zip(spans, crowds, strict=True):
        if scenario.same_ground and start >= changes:
            ground = int(rng.integers(len(COLOURS)))
            changes = start + scenario.same_ground
        objects = next(cast) if filled else ()
        colour = ground if scenario.same_ground else None
        things, colour = _place(objects, colour, rng)
        shots.append(Shot(start, end, things, colour))
    return Script(scenario, seconds, whole, tuple(shots))


def _spans(
    scenario: Scenario, seconds: int, rng: np.random.Generator
) -> Iterator[tuple[int, int, bool]]:
    """Start, end, and whether there is something to see."""
    at, empty = 0, rng.random() < scenario.empty_share
    while at < seconds:
        if empty:
            stay = 1 + int(rng.exponential(scenario.empty_stay))
        else:
            stay = max(scenario.shortest, round(rng.gamma(3.0, scenario.stay / 3.0)))
        end = min(seconds, at + stay)
        yield at, end, not empty
        at, empty = end, not empty and rng.random() < scenario.empty_share


def _crowd(scenario: Scenario, rng: np.random.Generator) -> int:
    """How many objects a shot has: often one, for what is asked of order."""
    if scenario.most_at_once == 1 or rng.random() < 0.5:
        return 1
    return int(rng.integers(2, scenario.most_at_once + 1))


def _cast(crowds: list[int], rng: np.random.Generator) -> list[tuple[int, ...]]:
    """The objects of each shot: most come once, and where there are more shots than objects the
    others come again and again."""
    order = [int(obj) for obj in rng.permutation(len(NAMES))]
    unique, regulars = order[:_UNIQUE], order[_UNIQUE : _UNIQUE + _REGULARS]
    alone = [place for place, crowd in enumerate(crowds) if crowd == 1]
    # Where there are too many crowds for the objects that come once, the last ones shrink to one.
    left, sizes = _UNIQUE // 2 if alone else _UNIQUE, list(crowds)
    for place in [int(i) for i in rng.permutation(len(crowds))]:
        if crowds[place] > 1:
            sizes[place] = crowds[place] if crowds[place] <= left else 1
            left -= sizes[place] if sizes[place] > 1 else 0
    alone = [place for place, size in enumerate(sizes) if size == 1]
    rest = len(unique) - sum(size for size in sizes if size > 1)
    count = min(rest, round((1 - _REGULAR_SHARE) * len(alone)))
    once = {int(place) for place in rng.choice(alone, count, replace=False)} if alone else set()
    cast: list[tuple[int, ...]] = []
    for place, size in enumerate(sizes):
        if size > 1 or place in once:
            cast.append(tuple(unique.pop() for _ in range(size)))
        else:
            latest = cast[-1] if cast else ()
            choice = [obj for obj in regulars if obj not in latest]
            cast.append((choice[int(rng.integers(len(choice)))],))
    return cast


def _place(
    objects: tuple[int, ...], colour: int | None, rng: np.random.Generator
) -> tuple[tuple[Thing, ...], int]:
    """Places and a ground, `colour` where it is settled; wherever it can be such that training
    never showed the first object so."""
    if colour is None:
        colour = int(rng.integers(len(COLOURS)))
        if objects:
            colour = HELD_OUT[objects[0]][int(rng.integers(len(HELD_OUT[objects[0]])))][1]
    if len(objects) > 1:
        places = rng.choice(OUTER, len(objects), replace=False)
        things = [Thing(obj, int(at)) for obj, at in zip(objects, places, strict=True)]
        return tuple(things), colour
    things = []
    for obj in objects:
        free = [place for place, ground in HELD_OUT[obj] if ground == colour]
        free = free or list(range(len(PLACES)))
        things.append(Thing(obj, free[int(rng.integers(len(free)))]))
    return tuple(things), colour
