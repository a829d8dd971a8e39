"""What happened in a stream: who came when, where it was, what it did; worked out from its sights.

Knows nothing about pixels, tensors or wording.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from training.sight import Sight
from training.world import NOT_MOVED, age_of, direction


@dataclass(slots=True)
class Run:
    """One stay of an object, in frames (the last one included). A gap in which nothing else came
    does not end it."""

    obj: int
    begin: int
    end: int
    places: list[int] = field(default_factory=list)
    grounds: set[int] = field(default_factory=set)
    companions: set[int] = field(default_factory=set)


class Event(NamedTuple):
    """`what` is "appeared", "left" or "moved"; `way` an index into DIRECTIONS, -1 for none."""

    frame: int
    what: str
    obj: int
    way: int = -1


class Chronicle:
    """`seconds[i]` is when frame i was seen; questions come right after the last frame."""

    def __init__(self, sights: Sequence[Sight], seconds: Sequence[int] | None = None) -> None:
        self.sights = sights
        self.seconds = list(range(len(sights))) if seconds is None else list(seconds)
        self.runs: list[Run] = []
        self.events: list[Event] = []
        self.texts: list[int] = []  # in order, each stay once
        self.current: list[list[Run]] = []  # of each frame, in the order of its things
        self._of: dict[int, list[Run]] = {}
        before = Sight((), -1)
        for frame, sight in enumerate(sights):
            self._read(frame, sight, before)
            before = sight

    def _read(self, frame: int, sight: Sight, before: Sight) -> None:
        here = {thing.obj for thing in sight.things}
        there = {thing.obj for thing in before.things}
        latest = self.runs[-1].begin if self.runs else -1
        current = []
        for obj, place in sight.things:
            own = self._of.get(obj)
            if own and (obj in there or latest <= own[-1].end):
                run = own[-1]
                run.end = frame
            else:
                run = Run(obj, frame, frame)
                self.runs.append(run)
                self._of.setdefault(obj, []).append(run)
            was = before.place_of(obj)
            if not run.places or run.places[-1] != place:
                run.places.append(place)
            run.grounds.add(sight.ground)
            run.companions |= here - {obj}
            current.append(run)
            if was < 0:
                self.events.append(Event(frame, "appeared", obj))
            elif was != place:
                way = direction(was, place)
                self.events.append(Event(frame, "moved", obj, -1 if way is None else way))
        gone = [thing.obj for thing in before.things if thing.obj not in here]
        self.events += [Event(frame, "left", obj) for obj in gone]
        if sight.text >= 0 and sight.text != before.text:
            self.texts.append(sight.text)
        self.current.append(current)

    @property
    def seen(self) -> set[int]:
        return set(self._of)

    @property
    def last(self) -> Sight:
        return self.sights[-1]

    def runs_of(self, obj: int) -> list[Run]:
        return self._of.get(obj, [])

    def once(self) -> list[Run]:
        """The runs of what came once."""
        return [run for run in self.runs if len(self._of[run.obj]) == 1]

    def neighbour(self, run: Run, step: int) -> int | None:
        """What came next after (`step` 1) or before (-1) a run: -1 for nothing, None where
        several came together."""
        if step > 0:
            others = [other for other in self.runs if other.begin > run.begin]
            edge = min((other.begin for other in others), default=None)
        else:
            others = [other for other in self.runs if other.begin < run.begin]
            edge = max((other.begin for other in others), default=None)
        together = [other.obj for other in others if other.begin == edge]
        if len(together) > 1:
            return None
        return together[0] if together else -1

    def moves_of(self, obj: int) -> int | None:
        """The way of an object's move, NOT_MOVED, or None where it has no single answer."""
        ways = {event.way for event in self.events if event.obj == obj and event.what == "moved"}
        if not ways:
            return NOT_MOVED if len({p for run in self._of[obj] for p in run.places}) == 1 else None
        return ways.pop() if len(ways) == 1 and -1 not in ways else None

    def age(self, obj: int) -> int | None:
        """Index into AGES of the time since an object was last seen; None between two ages."""
        return age_of(self.seconds[-1] - self.seconds[self._of[obj][-1].end])

    def third(self, run: Run) -> int | None:
        """In which third of the stream's time a run lies; None where it lies in several."""
        begun, whole = self.seconds[0], self.seconds[-1] + 1 - self.seconds[0]
        start = (self.seconds[run.begin] - begun) / whole
        end = (self.seconds[run.end] + 1 - begun) / whole
        bounds = ((-1.0, 0.32), (0.38, 0.62), (0.68, 2.0))
        return next((i for i, (a, b) in enumerate(bounds) if a <= start and end <= b), None)

    def latest_event(self) -> Event | None:
        """The last event, an arrival before a move before a departure; None where several of
        the same sort came together."""
        if not self.events:
            return None
        frame = self.events[-1].frame
        latest = [event for event in self.events if event.frame == frame]
        for what in ("appeared", "moved", "left"):
            same = [event for event in latest if event.what == what]
            if same:
                return same[0] if len(same) == 1 else None
        return None
