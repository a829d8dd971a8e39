"""A stream of many hours at 1 frame a second: bytes, times and answers, hour by hour.

The clock is simulated: frames come one a second by their timestamps, as fast as they are taken.
The stream is the sample clip's scenes in random order (`scenes.py`), so every answer is known.

`recent_accuracy`: questions about the last five minutes, asked every eight frames of the last 20
minutes before a point. The first and the last point, which are compared, have twice as many: in
the last 40 minutes, and, at minute 10, in the last 5 minutes of 8 streams of ten minutes, so that
both rest on as many different scenes. Answers leave no trace in memory and none in the
conversation. `accuracy_low` and `accuracy_high` are the 95 % interval (Wilson 1927), which takes
questions as independent.

`frame_seconds` (median over groups of eight frames taken one at a time, each group with one
compression pass) and `ttft_seconds` (median) are measured in turn with those of a session that
has just begun, so that a machine that slows down is not taken for a memory that does.
"""

import math
import resource
import statistics
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import torch

from benchmarks.errors import OptionError
from benchmarks.scenes import KINDS, RECENT_SECONDS, Scene, Stream, read_scenes, right
from model_worker.decoding import Sampling
from model_worker.engine import Engine
from model_worker.memory.policies.base import CompressionPolicy
from model_worker.session import Session
from model_worker.settings import SHIPPED_MODEL
from model_worker.timeline import Positions

DESCRIPTION = "hours of stream at 1 frame a second: bytes, times and answers, hour by hour"

FIRST_POINT: Final = 600  # seconds
QUESTION: Final = "what is it now?"

_GROUP = 8  # frames
_LONGEST_ANSWER = 16  # tokens
_SETTLED = 64  # frames after which a fresh session compresses in every group


@dataclass
class Marks:
    """How many questions of each kind were asked, and how many answers were right."""

    asked: Counter[str] = field(default_factory=Counter)
    correct: Counter[str] = field(default_factory=Counter)

    def add(self, kind: str, is_right: bool) -> None:
        self.asked[kind] += 1
        self.correct[kind] += is_right

    def accuracy(self, kind: str | None = None) -> float:
        asked, correct = (
            counted.total() if kind is None else counted[kind]
            for counted in (self.asked, self.correct)
        )
        return correct / asked if asked else 0.0

    def variance(self) -> float:
        """Of the accuracy."""
        return self.accuracy() * (1 - self.accuracy()) / max(1, self.asked.total())

    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the accuracy (Wilson 1927)."""
        asked, share, z = self.asked.total(), self.accuracy(), 1.96
        middle = share + z * z / (2 * asked)
        half = z * math.sqrt(share * (1 - share) / asked + z * z / (4 * asked * asked))
        return (middle - half) / (1 + z * z / asked), (middle + half) / (1 + z * z / asked)


class Watcher:
    """A session before an endless stream, and the simulated clock of both."""

    def __init__(self, session: Session, scenes: Sequence[Scene], seed: int) -> None:
        self.session = session
        self.seconds = 0
        self._stream = Stream(scenes, seed)

    def watch(self, frames: int) -> None:
        """The next frames, encoded together."""
        pictures = [self._stream.next() for _ in range(frames)]
        stamps = [float(self.seconds + i) for i in range(frames)]
        self.session.watch_many(pictures, stamps)
        self.seconds += frames

    def watch_until(self, seconds: int) -> None:
        while self.seconds < seconds:
            self.watch(min(_GROUP, seconds - self.seconds))

    def sit(self, until: int, questions: int, marks: Marks) -> None:
        """Watch up to the second `until` and ask on the way, all kinds equally often."""
        start, before = self.seconds, marks.asked.total()
        while self.seconds < until:
            self.watch(min(_GROUP, until - self.seconds))
            due = before + questions * (self.seconds - start) // (until - start)
            while marks.asked.total() < due:
                self._ask(marks)

    def _ask(self, marks: Marks) -> None:
        kinds = sorted(KINDS, key=lambda kind: marks.asked[kind])
        asked = (question for kind in kinds if (question := self._stream.question(kind)))
        question = next(asked)  # what there is now can always be asked
        answer = self.session.ask(question.question, Sampling(max_tokens=_LONGEST_ANSWER))
        marks.add(question.kind, right("".join(answer), question.answer))

    def seconds_per_frame(self) -> float:
        """Of the next group of frames, taken one at a time."""
        start = time.perf_counter()
        for _ in range(_GROUP):
            self.watch(1)
        return (time.perf_counter() - start) / _GROUP

    def seconds_to_first_token(self) -> float:
        start = time.perf_counter()
        answer = self.session.ask(QUESTION, Sampling(max_tokens=4))
        while answer.completion_tokens == 0 and answer.step() is not None:
            pass
        seconds = time.perf_counter() - start
        answer.cancel()
        return seconds


@dataclass(frozen=True)
class Plan:
    """How a point is measured: see `run`."""

    questions: int
    streams: int
    repeats: int

    def compared(self) -> "Plan":
        """Of the first and the last point."""
        return replace(self, questions=2 * self.questions, streams=2 * self.streams)


def run(
    hours: float = 24.0,
    model: str | Path = SHIPPED_MODEL,
    budget_tokens: int | None = None,
    policy: str | CompressionPolicy | None = None,
    positions: Positions | None = None,
    questions: int = 320,
    streams: int = 4,
    repeats: int = 20,
    threads: int | None = None,
    progress: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """A point at minute 10, at every whole hour and at the end.

    `questions` are asked in the last `streams` times five minutes before a point, and twice that
    before the first and the last; at the first, in as many streams. Times are medians over
    `repeats`. Interrupted, it returns the points that it has. Raises OptionError for `hours` that
    are no number of at least ten minutes.
    """
    if not FIRST_POINT <= hours * 3600 < math.inf:
        least = math.ceil(FIRST_POINT / 0.36) / 10_000
        raise OptionError(
            f"hours must be a number of at least {least} (minute 10, the first point), not {hours}"
        )
    engine = Engine.load(model, threads=threads)
    scenes = read_scenes(engine.frame_size, engine.max_pixels)

    def begin(seed: int) -> Watcher:
        session = engine.open_session(
            budget_tokens=budget_tokens, policy=policy, positions=positions, history_turns=0
        )
        return Watcher(session, scenes, seed)

    plan = Plan(questions, streams, repeats)
    watcher = begin(0)
    points: list[dict[str, float]] = []
    exams: list[Marks] = []
    interrupted = False
    try:
        ends = _ends(hours)
        for end in ends:
            progress(f"hour {watcher.seconds / 3600:.2f} of {hours:g}")
            fine = end in (ends[0], ends[-1])
            point, marks = _point(watcher, end, begin, plan.compared() if fine else plan)
            points.append(point)
            exams.append(marks)
    except KeyboardInterrupt:
        if not points:
            raise
        interrupted = True
    return {
        "benchmark": "endless",
        "model": engine.name,
        "device": str(engine.device),
        "threads": torch.get_num_threads(),
        "budget_tokens": budget_tokens or engine.default_budget_tokens,
        "policy": _named(policy or engine.default_policy),
        "positions": positions or engine.default_positions,
        "hours": points[-1]["hour"],
        "interrupted": interrupted,
        **_compared(points, exams),
        "points": points,
        "kinds": [
            {
                "kind": kind,
                "minute_10": round(exams[0].accuracy(kind), 4),
                "end": round(exams[-1].accuracy(kind), 4),
                "questions": exams[-1].asked[kind],
            }
            for kind in KINDS
        ],
    }


def _ends(hours: float) -> list[int]:
    """The seconds of the points; a last part of an hour counts from a minute on."""
    last = round(hours * 3600)
    ends = [FIRST_POINT, *range(3600, last + 1, 3600)]
    return [*ends, last] if last - ends[-1] >= 60 else ends


def _point(
    watcher: Watcher, end: int, begin: Callable[[int], Watcher], plan: Plan
) -> tuple[dict[str, float], Marks]:
    """Go on to the second `end`: first the time of frames, then questions, then the rest."""
    marks = Marks()
    asking, share = RECENT_SECONDS * plan.streams, plan.questions
    if end == FIRST_POINT:
        asking, share = RECENT_SECONDS, plan.questions // plan.streams
        for seed in range(1, plan.streams):
            other = begin(seed)
            other.watch_until(end - asking)
            other.sit(end, share, marks)
            other.session.close()
    room = end - watcher.seconds
    groups = min(plan.repeats, max(1, room // (2 * _GROUP)))
    watcher.watch_until(end - asking - groups * _GROUP)
    fresh = begin(plan.streams)
    fresh.watch_until(_SETTLED)
    frame, fresh_frame = _in_turn(watcher, fresh, Watcher.seconds_per_frame, groups)
    watcher.watch_until(end - asking)
    watcher.sit(end, share, marks)
    ttft, fresh_ttft = _in_turn(watcher, fresh, Watcher.seconds_to_first_token, plan.repeats)
    fresh.session.close()
    low, high = marks.interval()
    point = {
        "hour": round(end / 3600, 4),
        "kv_bytes": watcher.session.memory.kv_bytes,
        "rss_bytes": resident_bytes(),
        "frame_seconds": round(frame, 6),
        "fresh_frame_seconds": round(fresh_frame, 6),
        "ttft_seconds": round(ttft, 6),
        "fresh_ttft_seconds": round(fresh_ttft, 6),
        "recent_accuracy": round(marks.accuracy(), 4),
        "accuracy_low": round(low, 4),
        "accuracy_high": round(high, 4),
        "questions": marks.asked.total(),
    }
    return point, marks


def _in_turn(
    old: Watcher, fresh: Watcher, seconds: Callable[[Watcher], float], repeats: int
) -> tuple[float, float]:
    """Medians for the two sessions, measured in turn after one measurement to warm up."""
    seconds(fresh)
    pairs = [(seconds(old), seconds(fresh)) for _ in range(repeats)]
    return statistics.median(pair[0] for pair in pairs), statistics.median(
        pair[1] for pair in pairs
    )


def _compared(points: list[dict[str, float]], exams: list[Marks]) -> dict[str, Any]:
    """The last point over that of hour 1 (the first where there is none), and the change of the
    accuracy since minute 10 with its 95 % interval."""
    last = points[-1]
    base = next((point for point in points if point["hour"] == 1), points[0])
    ratios = {
        f"{name}_ratio": round(last[name] / base[name], 4)
        for name in ("kv_bytes", "rss_bytes", "frame_seconds", "ttft_seconds")
    }
    change = exams[-1].accuracy() - exams[0].accuracy()
    error = 1.96 * math.sqrt(exams[0].variance() + exams[-1].variance())
    over_fresh = {
        f"{name}_over_fresh": round(last[name] / last[f"fresh_{name}"], 4)
        for name in ("frame_seconds", "ttft_seconds")
    }
    return {
        "ratios_to_hour": base["hour"],
        **ratios,
        **over_fresh,
        "accuracy_change": round(change, 4),
        "accuracy_change_interval": [round(change - error, 4), round(change + error, 4)],
    }


def resident_bytes() -> int:
    """The process's resident memory now."""
    status = Path("/proc/self/status")
    if not status.exists():  # no Linux: the most there was, in bytes on macOS
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024


def _named(policy: str | CompressionPolicy) -> str:
    return policy if isinstance(policy, str) else policy.name
