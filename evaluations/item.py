"""A question of a benchmark, what becomes of it, and why one was not asked."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from evaluations.subtitles import Cue


@dataclass(frozen=True)
class Item:
    """One question about one video, in the benchmark's own words.

    times: seconds of the video at which it is asked; none: at the end. Several: it is asked again
    at each of them until an answer contains `until` (whatever the case).
    answer: the right one, None where the benchmark keeps it to itself.
    options: texts of a choice, by `letters`. groups: what else it is counted under.
    subtitles: written before the prompt, under `heading`, as far as they are past and fit.
    fields: what the benchmark's own form of predictions has beside the answer.
    """

    id: str
    task: str
    video: Path
    prompt: str
    answer: str | None
    options: tuple[str, ...] = ()
    times: tuple[float, ...] = ()
    until: str = ""
    groups: Mapping[str, str] = field(default_factory=dict)
    heading: str = ""
    subtitles: tuple[Cue, ...] = ()
    fields: Mapping[str, str] = field(default_factory=dict)

    @property
    def letters(self) -> str:
        """A, B, C … of its options."""
        return "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[: len(self.options)]


@dataclass(frozen=True)
class Answered:
    """responses: one for each time that the item was asked. asked_at: the newest frame's time at
    the last of them, in seconds. frames: seen by then. late: by how many seconds the video had
    ended before the question's time. subtitles: how many were shown, of how many."""

    item: Item
    responses: tuple[str, ...]
    asked_at: float
    frames: int
    kv_bytes: int
    late: float = 0.0
    subtitles: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class Skip:
    """A question, or a row of an annotation file, that is not asked."""

    id: str
    reason: str
    detail: str


@dataclass(frozen=True)
class Verdict:
    """chosen: what was understood of the answer, "" for nothing. score: 1 right, 0 wrong, None
    where the right answer is not known here."""

    chosen: str
    score: float | None
