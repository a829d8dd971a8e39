"""A service under load for as long as is asked: whether it grows.

As `load`, with four fifths of the clients that there is room for, who leave and come again, so
that sessions and connections are opened and closed all the time. Of each process of the service
resident memory, descriptors and threads are sampled twice in ten seconds. The first fifth warms
up and counts for nothing.

A slope is a straight line's through the rest (least squares), per hour; `low` and `high` are the
95 % interval of it, from the line through the medians of twelve equal parts, since samples that
follow one another are not independent. `of_mean` is the slope over the mean.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.errors import OptionError
from benchmarks.load import CAPACITY
from benchmarks.service import LoadedService, service

DESCRIPTION = "half an hour at 80 % of capacity: memory, descriptors and threads of each process"

_SHARE: Final = 0.8
_WARM_UP: Final = 0.2
_SAMPLE_SECONDS: Final = 5.0
_PARTS: Final = 12
_STUDENT: Final = 2.228  # 97.5 % of Student's t with 10 degrees of freedom
_NAMES: Final = ("rss_bytes", "descriptors", "threads")


def run(
    *,
    minutes: float = 30.0,
    think: float = 0.5,
    tokens: int = 16,
    capacity: int = CAPACITY,
    stay: float = 30.0,
    webrtc_every: int = 8,
    sample_seconds: float = _SAMPLE_SECONDS,
    progress: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """stay: mean seconds of a client in a session. Raises OptionError."""
    if not 0.1 <= minutes <= 10_000:
        raise OptionError(f"--minutes of soak is from 0.1 to 10000, not {minutes:g}")
    clients = max(1, int(_SHARE * capacity))
    return asyncio.run(
        _soak(
            minutes, think, tokens, capacity, clients, stay, webrtc_every, sample_seconds, progress
        )
    )


async def _soak(
    minutes: float,
    think: float,
    tokens: int,
    capacity: int,
    clients: int,
    stay: float,
    webrtc_every: int,
    sample_seconds: float,
    progress: Callable[[str], None],
) -> dict[str, Any]:
    async with service(
        capacity=capacity, workers=1, simulate=False, think=think, tokens=tokens, stay=stay
    ) as loaded:
        await loaded.crowd.order("be", clients=clients, askers=1, every=webrtc_every)
        sampling = asyncio.create_task(_sampled(loaded, sample_seconds))
        parts = []
        count = max(1, round(minutes))
        for minute in range(count):
            progress(f"minute {minute} of {minutes:g}")
            parts.append(await loaded.crowd.order("measure", seconds=60 * minutes / count))
        sampling.cancel()
        [samples] = await asyncio.gather(sampling, return_exceptions=True)
    assert isinstance(samples, list), samples
    return {
        "benchmark": "soak",
        "minutes": minutes,
        "clients": clients,
        "sessions_a_worker": capacity,
        "think_seconds": think,
        "sessions_opened": sum(part["entered"] for part in parts),
        "answers": sum(part["answers"] for part in parts),
        "answers_per_second": round(float(np.mean([p["answers_per_second"] for p in parts])), 2),
        "hung": sum(part["hung"] for part in parts),
        "dropped": sum(part["dropped"] for part in parts),
        "questions_refused": sum(part["questions_refused"] for part in parts),
        "failed": dict(sum((Counter(part["failed"]) for part in parts), Counter())),
        "processes": [
            _process(name, what, samples) for name in loaded.processes for what in _NAMES
        ],
    }


Sample = tuple[float, dict[str, dict[str, int]]]


async def _sampled(loaded: LoadedService, every: float) -> list[Sample]:
    """Until cancelled: seconds, and what each process has."""
    samples: list[Sample] = []
    began = time.monotonic()
    try:
        while True:
            await asyncio.sleep(every)
            held = {name: held_by(pid) for name, pid in loaded.processes.items()}
            samples.append((time.monotonic() - began, held))
    except asyncio.CancelledError:
        return samples


def held_by(pid: int) -> dict[str, int]:
    """What a process has now, as Linux says."""
    status = Path(f"/proc/{pid}/status").read_text()
    fields = dict(line.split(":", 1) for line in status.splitlines())
    return {
        "rss_bytes": int(fields["VmRSS"].split()[0]) * 1024,
        "descriptors": sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir()),
        "threads": int(fields["Threads"]),
    }


def _process(name: str, what: str, samples: Sequence[Sample]) -> dict[str, Any]:
    """One quantity of one process."""
    warm = [sample for sample in samples if sample[0] >= _WARM_UP * samples[-1][0]]
    times = np.array([seconds / 3600 for seconds, _ in warm])
    values = np.array([float(held[name][what]) for _, held in warm])
    found = slope(times, values)
    mean = float(values.mean())
    return {
        "process": name,
        "what": what,
        "first": int(values[0]),
        "last": int(values[-1]),
        "most": int(values.max()),
        "per_hour": round(found[0], 2),
        "low": round(found[1], 2),
        "high": round(found[2], 2),
        "of_mean": round(found[0] / mean, 4),
        "samples": len(values),
    }


def slope(
    times: "np.ndarray[Any, np.dtype[np.float64]]", values: "np.ndarray[Any, np.dtype[np.float64]]"
) -> tuple[float, float, float]:
    """The slope of a line through the values, and its 95 % interval. With fewer than 36 values
    there is none: both its ends are the slope."""
    own = float(np.polyfit(times, values, 1)[0]) if len(values) > 1 else 0.0
    if len(values) < 3 * _PARTS:
        return own, own, own
    x = np.array([part.mean() for part in np.array_split(times, _PARTS)])
    y = np.array([np.median(part) for part in np.array_split(values, _PARTS)])
    middle, start = np.polyfit(x, y, 1)
    left = y - (middle * x + start)
    error = _STUDENT * np.sqrt((left**2).sum() / (_PARTS - 2) / ((x - x.mean()) ** 2).sum())
    return own, float(middle - error), float(middle + error)
