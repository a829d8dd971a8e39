"""Short coherent takes: what happens before one ground, shot by shot.

A shot is a sight that holds; the next shot of the take differs by one event: an object appears,
leaves or moves to another place in a straight line, a word is shown or goes. Streams are cut
together from takes (stories.py).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from training.sight import Sight, Thing
from training.world import (
    CELLS,
    DIGITS,
    GRID,
    OBJECT_NAMES,
    PHOTO,
    PLACE_NAMES,
    TEXT_PLACES,
    WORDS,
    direction,
    is_held_out,
)

PLAIN_OBJECTS: Final = 64
PLAIN_PLACES: Final = 5
_TRIES: Final = 200


@dataclass(frozen=True, slots=True)
class Take:
    """Sights in order, all before one ground. `plain` is one large object, on a ground
    of one colour."""

    shots: tuple[Sight, ...]
    plain: bool = False

    @property
    def most_things(self) -> int:
        return max(len(shot.things) for shot in self.shots)

    @property
    def objects(self) -> frozenset[int]:
        return frozenset(thing.obj for shot in self.shots for thing in shot.things)


class Drawer:
    """Draws random takes whose combinations are all on one side of the split."""

    def __init__(self, rng: np.random.Generator, held_out: bool = False) -> None:
        self.rng, self.held_out = rng, held_out

    def _ground(self) -> int:
        return PHOTO if self.rng.random() < 0.35 else int(self.rng.integers(PHOTO))

    def _thing(self, ground: int, taken: Sight, obj: int | None = None) -> Thing | None:
        """An object at a free place that is on the wanted side; None where there is none."""
        used = {thing.place for thing in taken.things} | {taken.text_place}
        present = {thing.obj for thing in taken.things}
        for _ in range(_TRIES):
            which = int(self.rng.integers(len(OBJECT_NAMES))) if obj is None else obj
            place = int(self.rng.integers(len(PLACE_NAMES)))
            if place in used or (obj is None and which in present):
                continue
            # An object and a ground have one held-out place at most: to move, it has to leave it.
            moves_on = obj is not None and self.held_out
            if moves_on or is_held_out(which, place, ground) == self.held_out:
                return Thing(which, place)
        return None

    def _text(self, taken: Sight) -> tuple[int, int] | None:
        """A word or a digit, and its place: a row without objects, since words are wide."""
        rows = {CELLS[thing.place] // GRID for thing in taken.things}
        free = [place for place in TEXT_PLACES if CELLS[place] // GRID not in rows]
        if not free:
            return None
        first, number = (len(WORDS), len(DIGITS)) if self.rng.random() < 0.35 else (0, len(WORDS))
        text = first + int(self.rng.integers(number))
        return text, free[self.rng.integers(len(free))]

    def _crowd(self, number: int) -> Sight:
        sight = Sight((), self._ground())
        while len(sight.things) < number:
            thing = self._thing(sight.ground, sight)
            if thing is not None:
                sight = sight._replace(things=(*sight.things, thing))
        return sight

    def _with_text(self, sight: Sight) -> Sight | None:
        found = self._text(sight)
        return None if found is None else sight._replace(text=found[0], text_place=found[1])

    def plain(self) -> Take:
        """One large object, or, at times, an empty ground."""
        ground = int(self.rng.integers(PHOTO))
        if self.rng.random() < 0.08:
            return Take((Sight((), ground),), plain=True)
        while True:
            obj = int(self.rng.integers(PLAIN_OBJECTS))
            place = int(self.rng.integers(PLAIN_PLACES))
            if is_held_out(obj, place, ground) == self.held_out:
                return Take((Sight((Thing(obj, place),), ground),), plain=True)

    def still(self) -> Take | None:
        """One to three objects that stay where they are, at times with a word."""
        sight = self._crowd(int(self.rng.choice([0, 1, 2, 3], p=[0.05, 0.4, 0.33, 0.22])))
        if self.rng.random() < 0.15:
            sight = self._with_text(sight) or sight
        return Take((sight,))

    def appears(self) -> Take | None:
        """An object joins one or two others."""
        before = self._crowd(int(self.rng.integers(1, 3)))
        thing = self._thing(before.ground, before)
        if thing is None:
            return None
        return Take((before, before._replace(things=(*before.things, thing))))

    def leaves(self) -> Take | None:
        """One of one to three objects goes."""
        before = self._crowd(int(self.rng.integers(1, 4)))
        gone = self.rng.integers(len(before.things))
        rest = tuple(thing for i, thing in enumerate(before.things) if i != gone)
        return Take((before, before._replace(things=rest)))

    def moves(self) -> Take | None:
        """One of one or two objects goes to another place, once or twice, in straight lines."""
        sight = self._crowd(int(self.rng.choice([1, 2], p=[0.7, 0.3])))
        which = int(self.rng.integers(len(sight.things)))
        shots = [sight]
        for _ in range(1 if self.rng.random() < 0.75 else 2):
            thing = sight.things[which]
            target = self._thing(sight.ground, sight, thing.obj)
            if target is None or direction(thing.place, target.place) is None:
                return None
            things = list(sight.things)
            things[which] = target
            sight = sight._replace(things=tuple(things))
            shots.append(sight)
        return Take(tuple(shots))

    def speaks(self) -> Take | None:
        """A word or a digit is shown, alone or with objects, and at times goes again."""
        sight = self._crowd(int(self.rng.choice([0, 1, 2], p=[0.35, 0.45, 0.2])))
        shown = self._with_text(sight)
        if shown is None:
            return None
        shape = self.rng.integers(3)
        return Take(((shown,), (sight, shown), (shown, sight))[shape])

    def draw(self) -> Take:
        """A random take of any kind."""
        kinds: tuple[Callable[[], Take | None], ...] = (
            self.plain, self.still, self.appears, self.leaves, self.moves, self.speaks,
        )  # fmt: skip
        shares = (0.28, 0.24, 0.1, 0.1, 0.13, 0.15)
        kind = kinds[self.rng.choice(len(kinds), p=shares)]
        while True:
            take = kind()
            if take is not None:
                return take
