"""Where the units of a stream stand in a session's rotary positions."""

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from model_worker.families.base import Around, FamilyAdapter, Grid
from model_worker.memory.cache import BoundedCache, CacheShape

Positions = Literal["native", "compact"]


@dataclass(frozen=True)
class Origin:
    """From where positions along time are counted: a unit, its time and its position."""

    unit: int
    seconds: float
    position: int


@dataclass(frozen=True)
class TimelineState:
    """All that a `Timeline` knows, so that another one can go on from it."""

    mode: Positions
    longest: int
    units: int
    highest: int
    first: float
    origin: Origin | None


class Timeline:
    """The positions that are taken, and those that the next unit gets.

    `mode` "native" leaves units where the family puts them and closes the gaps of what was evicted
    in the last compression pass before positions would reach `longest`; "compact" closes them in
    every pass.
    """

    def __init__(
        self, adapter: FamilyAdapter, shape: CacheShape, longest: int, mode: Positions
    ) -> None:
        self._adapter = adapter
        self._shape = shape
        self._longest = longest
        self._mode = mode
        self._origin: Origin | None = None
        self._first = 0.0
        self.units = 0
        self.highest = shape.prefix - 1

    @property
    def state(self) -> TimelineState:
        """As it is now."""
        return TimelineState(
            self._mode, self._longest, self.units, self.highest, self._first, self._origin
        )

    def resume(self, state: TimelineState) -> None:
        """Go on from a state of the same mode and range."""
        assert (state.mode, state.longest) == (self._mode, self._longest)
        self.units, self.highest = state.units, state.highest
        self._first, self._origin = state.first, state.origin

    def place(
        self, unit: int, times: list[float], highest: int, grid: Grid
    ) -> tuple[Around, Tensor]:
        """The text and the positions `[axes, tokens]` of the unit that is number `unit` in the
        stream and whose frames came at `times` seconds, where positions up to `highest` are
        taken."""
        prefix = self._shape.prefix
        if self._origin is None:
            self._origin, self._first = Origin(0, times[0], prefix), times[0]
        origin = self._origin
        passed = self._adapter.time_position(unit - origin.unit, times[0] - origin.seconds, grid)
        start = highest + 1 if passed is None else origin.position + passed
        text = self._adapter.unit_text(unit, [time - self._first for time in times])
        around = len(text.before), len(text.after)
        return text, self._adapter.unit_positions(prefix, start, grid, *around)

    def advance(self, units: int, highest: int) -> None:
        """So many units more are in memory, with positions up to `highest`."""
        self.units += units
        self.highest = highest

    def compact(self, cache: BoundedCache, fewest_tokens: int, grid: Grid) -> None:
        """Part of a compression pass, after eviction. `fewest_tokens`: of the units of late."""
        if self.left(fewest_tokens, grid) > 0:
            return
        shape = self._shape
        places, stride = self._adapter.slot(grid)
        span = (self._longest - shape.prefix - self._ahead(fewest_tokens, stride)) // 2
        end = cache.compact(self._adapter.time_frequencies(), stride, stride, span, places)
        newest = float(cache.times[0, 0, cache.visual_length - 1])
        self._origin = Origin(self.units - 1, newest, end - stride)
        self.highest = self._adapter.highest_after(shape.prefix, end, grid)

    def left(self, fewest_tokens: int, grid: Grid) -> int:
        """How many positions can still be taken before a pass makes them compact."""
        if self._mode == "compact":
            return 0
        _, stride = self._adapter.slot(grid)
        return max(0, self._longest - self.highest - self._ahead(fewest_tokens, stride))

    def _ahead(self, fewest_tokens: int, stride: int) -> int:
        """Positions that may be taken before the next pass: an ingest block, and an answer."""
        shape = self._shape
        return (shape.block // fewest_tokens + 1) * self._pace(stride) + shape.scratch

    def _pace(self, stride: int) -> int:
        """Positions along time that a unit has taken of late, at least `stride`."""
        if self._origin is None or self.units <= self._origin.unit:
            return stride
        taken = self.highest + 1 - self._origin.position
        return max(stride, -(-taken // (self.units - self._origin.unit)))
