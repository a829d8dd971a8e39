"""Which tokens a model can do without, found without labels: large values, small ones, or any.

InfiniPot-V's paper keeps large values, QuickVideo's finds that the worst choice: it depends on the
model. A clip is watched once with a memory that holds all of it and once by each policy at the same
budget, by all at the same time, and the same questions are asked of all of them at several moments.
What counts is how far the next token's distribution departs from that over the full memory along
the full memory's answer. Whether an answer is right is not asked, so that any clip will do.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

import lookback_files
from benchmarks.departure import Departure, departures
from benchmarks.errors import OptionError
from benchmarks.recall.budget import FULL, Room, parse, room
from lookback.video import Sampled, Video, VideoError
from model_worker.checkpoint import ModelError
from model_worker.engine import Engine
from model_worker.memory.policies import POLICIES
from model_worker.picture import fitted
from model_worker.session import Session
from model_worker.settings import SHIPPED_MODEL
from model_worker.work import advance

DESCRIPTION = "which direction of value norms suits a model, without labels"

QUESTIONS: Final = (
    "What do you see now?",
    "What was the first thing you saw?",
    "What did you see before that?",
    "Where was it?",
    "What color was it?",
    "How many different things have you seen?",
)
_POLICIES: Final = ("van", "reversed_van", "uniform", "tar")
_BUDGETS: Final = ("1/4", "1/8")
_PAIRS: Final = (("van", "reversed_van"), ("van", "uniform"), ("reversed_van", "uniform"))
_LONGEST: Final = 12  # tokens of an answer
_GROUP: Final = 8  # frames watched at once
_RESAMPLED: Final = 2000

_Asked = list[list[Departure]]  # by moment, by question


def run(
    model: str | Path = SHIPPED_MODEL,
    video: str | Path | None = None,
    policies: str | Sequence[str] = _POLICIES,
    budgets: str | Sequence[str] = _BUDGETS,
    moments: int = 10,
    fps: float = 1.0,
    questions: Sequence[str] = QUESTIONS,
    threads: int | None = None,
    progress: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Departures by policy and budget, each pair's difference and a verdict.

    `video` None is the sample clip. `budgets` are shares of the clip's tokens; `moments` are spread
    over its last three quarters. Intervals are of 95 %, by drawing moments anew, since questions at
    one moment are not independent. Raises OptionError.
    """
    names, shares = _listed(policies), _listed(budgets)
    unknown = [name for name in names if name not in POLICIES or not POLICIES[name].drops]
    if unknown:
        known = ", ".join(sorted(name for name in POLICIES if POLICIES[name].drops))
        raise OptionError(f"{unknown[0]!r} is no policy to compare; known: {known}")
    for share in shares:
        parse(share)
    if moments < 2:
        raise OptionError(f"moments must be at least 2, not {moments}")
    try:
        engine = Engine.load(model, threads=threads)
        frames = _read(engine, Path(video or lookback_files.SAMPLES / "objects.mp4"), fps)
    except (ModelError, VideoError) as error:
        raise OptionError(str(error)) from error
    if len(frames) < 4 * moments:
        raise OptionError(
            f"{len(frames)} frames are too few for {moments} moments: lower moments, raise fps or "
            "give a longer video"
        )
    cells = [(name, share) for share in shares for name in names]
    asked = _measure(engine, frames, cells, moments, questions, progress)
    rows = [_row(cell, each) for cell, each in zip(cells, asked, strict=True)]
    by_cell = dict(zip(cells, asked, strict=True))
    differences = [
        _difference(share, pair, by_cell[pair[0], share], by_cell[pair[1], share])
        for share in shares
        for pair in _PAIRS
        if set(pair) <= set(names)
    ]
    return {
        "benchmark": "policy-check",
        "model": engine.name,
        "positions": engine.default_positions,
        "frames": len(frames),
        "moments": moments,
        "questions": len(questions),
        "rows": rows,
        "differences": differences,
        "verdict": verdict(differences),
    }


def verdict(differences: Sequence[dict[str, Any]]) -> str:
    """Which direction of value norms departs less, if the difference is beyond chance."""
    told = []
    for each in differences:
        if (each["policy"], each["against"]) != _PAIRS[0]:
            continue
        if not each["significant"]:
            told.append(f"at {each['budget']} neither direction is better beyond chance")
            continue
        better = each["policy"] if each["difference"] < 0 else each["against"]
        above = [
            other["significant"] and other["difference"] < 0
            for other in differences
            if (other["policy"], other["against"]) == (better, "uniform")
            and other["budget"] == each["budget"]
        ]
        against = ", and better than uniform" if any(above) else ", but no better than uniform"
        told.append(f"at {each['budget']} {better} is better{against if above else ''}")
    return "; ".join(told) or "van and reversed_van were not both measured"


def _listed(given: str | Sequence[str]) -> list[str]:
    names = given.split(",") if isinstance(given, str) else given
    return list(dict.fromkeys(name.strip() for name in names))


def _read(engine: Engine, path: Path, fps: float) -> list[Sampled]:
    if fps <= 0:
        raise OptionError(f"fps must be above 0, not {fps:g}")
    return [
        Sampled(fitted(frame.pixels, engine.frame_size, engine.max_pixels), frame.timestamp)
        for frame in Video(path).sampled(fps)
    ]


def _measure(
    engine: Engine,
    frames: Sequence[Sampled],
    cells: Sequence[tuple[str, str]],
    moments: int,
    questions: Sequence[str],
    progress: Callable[[str], None],
) -> list[_Asked]:
    """The departures of each of `cells`, policy and budget."""
    sessions: list[Session] = []
    asked: list[_Asked] = [[] for _ in cells]
    stops = np.linspace(len(frames) / 4, len(frames), moments).round().astype(int).tolist()
    try:
        for name, share in ((FULL, FULL), *cells):
            sessions.append(_open(engine, name, share, len(frames)))
        seen = 0
        for stop in stops:
            while seen < stop:
                progress(f"frame {seen} of {len(frames)}")
                part = frames[seen : min(seen + _GROUP, stop)]
                _watch(engine, sessions, part)
                seen += len(part)
            for each in asked:
                each.append([])
            progress(f"asks at frame {seen} of {len(frames)}")
            for question in questions:
                found = departures(engine.adapter, sessions[0], sessions[1:], question, _LONGEST)
                for each, departure in zip(asked, found, strict=True):
                    each[-1].append(departure)
    finally:
        for session in sessions:
            session.close()
    return asked


def _open(engine: Engine, name: str, share: str, frames: int) -> Session:
    adapter = engine.adapter
    size: Room | None = room(share, frames, adapter.most_tokens_per_unit, adapter.frames_per_unit)
    if size is None:
        raise OptionError(f"{share} of {frames} frames has no room for one: give larger budgets")
    longest = max(adapter.longest_position, 2 * size.cap_tokens + 4096) if name == FULL else None
    try:
        return engine.open_session(
            budget_tokens=size.budget_tokens,
            policy=name,
            block_units=size.block_units,
            longest_position=longest,
        )
    except ValueError as error:
        raise OptionError(f"{name} at {share}: {error}") from error


@torch.no_grad()
def _watch(engine: Engine, sessions: Sequence[Session], frames: Sequence[Sampled]) -> None:
    """All watch the same frames, which pass the vision tower once."""
    pictures: list[NDArray[np.uint8]] = [frame.pixels for frame in frames]
    stamps = [frame.timestamp for frame in frames]
    works = [session.prepare(pictures, stamps)[0] for session in sessions]
    visual: Tensor | None = None
    for work in works:
        needed = work.pictures()
        if needed is not None:
            visual = engine.adapter.encode(*needed) if visual is None else visual
            work.seen(visual)
    for error in advance(engine.adapter, works).values():
        raise error


def _row(cell: tuple[str, str], asked: _Asked) -> dict[str, Any]:
    kl = [[each.kl for each in moment] for moment in asked]
    low, high = _interval(kl)
    agreement = np.mean([[each.agreement for each in moment] for moment in asked])
    return {
        "policy": cell[0],
        "budget": cell[1],
        "kl": round(float(np.mean(kl)), 4),
        "low": round(low, 4),
        "high": round(high, 4),
        "agreement": round(float(agreement), 4),
    }


def _difference(share: str, pair: tuple[str, str], first: _Asked, second: _Asked) -> dict[str, Any]:
    apart = [
        [one.kl - other.kl for one, other in zip(mine, theirs, strict=True)]
        for mine, theirs in zip(first, second, strict=True)
    ]
    low, high = _interval(apart)
    return {
        "policy": pair[0],
        "against": pair[1],
        "budget": share,
        "difference": round(float(np.mean(apart)), 4),
        "low": round(low, 4),
        "high": round(high, 4),
        "significant": bool(low > 0 or high < 0),
    }


def _interval(by_moment: Sequence[Sequence[float]]) -> tuple[float, float]:
    """The 95 % interval of the mean, by drawing moments with replacement."""
    means = np.array([np.mean(each) for each in by_moment])
    drawn = np.random.default_rng(0).integers(0, len(means), (_RESAMPLED, len(means)))
    low, high = np.percentile(means[drawn].mean(1), (2.5, 97.5))
    return float(low), float(high)
