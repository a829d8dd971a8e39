"""Many sessions on one device: frames a second in all, and how long answers wait meanwhile.

Everything goes through the worker's `Runner`, as JPEG frames and questions from the gateway do;
only the broker is missing. For each number of sessions there are two measurements.

*Saturated*: every session always has frames waiting. `frames_per_second` is the median of several
rounds, taken in turn with rounds of as many sessions whose frames pass the model one at a time
(`max_batch=1`): `one_at_a_time_frames_per_second` of that point, and, at 8 sessions, of the whole.

*Live*, in real time: each session gets one frame a second, at a phase of its own, and questions
arrive at random (a Poisson process, the same number a second in all at every point). `dropped`
frames, `longest_frame_wait_seconds` from a frame's arrival to the memory, `ttft_p50` and
`ttft_p99` from the question to the first piece of text, `itl_p50` and `itl_p99` between two pieces
of one answer, all in seconds. `idle_itl_p99` is that of one session alone to which no frames come,
measured before each point.
"""

import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any, Final

import cv2
import numpy as np
import torch

from benchmarks.errors import OptionError
from benchmarks.scenes import Stream, read_scenes
from messages.answers import AnswerDelta, AnswerDone
from messages.codec import ToGateway
from messages.frames import Frame
from messages.keys import RING
from messages.questions import Ask
from messages.sessions import MemoryStatus, OpenSession, SessionRefused
from model_worker.admission import Admission
from model_worker.engine import Engine
from model_worker.runner import STATUS_SECONDS, Runner
from model_worker.seat import Intake, Seat
from model_worker.settings import SHIPPED_MODEL

DESCRIPTION = "many sessions on one device: frames a second, and what answers wait meanwhile"

QUESTIONS: Final = (
    "what is it now?",
    "have you seen a clock?",
    "what did you see before the dog?",
    "where was the banana?",
    "what was the last thing you saw?",
)
BASELINE_SESSIONS: Final = 8

_SETTLED = 40  # frames after which a session of the default budget compresses regularly
_ROUND = 128  # frames of a saturated round, in all
_LONGEST_ANSWER = 32  # tokens
_PICTURES = 240
_IDLE = "idle"


class TimedRunner(Runner):
    """A runner that notes how long each frame waited, from `captured_at` until it was watched."""

    waits: list[float]

    def _seen(self, seat: Seat, intake: Intake) -> None:
        super()._seen(seat, intake)
        now = time.time()
        self.waits += [now - waiting.what.captured_at for waiting in intake.frames]


class Worker:
    """A runner with open sessions, fed by hand, and all that its clients would hear."""

    def __init__(
        self, engine: Engine, names: Sequence[str], jpegs: Sequence[bytes], max_batch: int
    ) -> None:
        self.names = names
        self.asked: dict[str, float] = {}
        self.pieces: defaultdict[str, list[float]] = defaultdict(list)
        self.dropped: dict[str, int] = {}
        self.completed = 0
        self._jpegs = jpegs
        self._numbers = dict.fromkeys(names, 0)
        self._runner = TimedRunner(
            engine,
            self._hear,
            Admission(len(names)),
            budget_tokens=engine.default_budget_tokens,
            policy="infinipot_v",
            max_batch=max_batch,
        )
        self._runner.waits = []
        for name in names:
            self._runner.handle(OpenSession(name))
            self.watch([name] * _SETTLED)

    @property
    def waits(self) -> list[float]:
        """Seconds that each frame waited."""
        return self._runner.waits

    def _hear(self, message: ToGateway) -> None:
        if isinstance(message, AnswerDelta):
            self.pieces[message.response].append(time.monotonic())
        elif isinstance(message, AnswerDone):
            self.completed += message.status in ("completed", "incomplete")
        elif isinstance(message, MemoryStatus):
            self.dropped[message.session] = message.frames_dropped
        elif isinstance(message, SessionRefused):
            raise RuntimeError(f"the worker refused a session: {message.message}")

    def send(self, name: str, captured_at: float) -> None:
        """One frame of a session, which arrived at `captured_at` (Unix seconds)."""
        number = self._numbers[name]
        self._numbers[name] += 1
        jpeg = self._jpegs[(number + 17 * self.names.index(name)) % len(self._jpegs)]
        self._runner.handle(Frame(name, number, float(number), captured_at, jpeg))

    def ask(self, name: str, at: float) -> None:
        """A question that arrived at `at` (seconds of the rising clock)."""
        response = f"{name}/{len(self.asked)}"
        self.asked[response] = at
        text = QUESTIONS[len(self.asked) % len(QUESTIONS)]
        self._runner.handle(Ask(name, response, text, max_tokens=_LONGEST_ANSWER))

    def work(self) -> None:
        """Turns until there is nothing to do."""
        while self._runner.turn():
            pass

    def watch(self, names: Sequence[str]) -> float:
        """A frame of each of these sessions, in any number, no ring ever full. Returns seconds."""
        start = time.perf_counter()
        waiting = list(names)
        while waiting:
            taken: defaultdict[str, int] = defaultdict(int)
            left = []
            for name in waiting:
                if taken[name] < RING:
                    self.send(name, time.time())
                    taken[name] += 1
                else:
                    left.append(name)
            waiting = left
            self.work()
        return time.perf_counter() - start

    def live(self, events: Iterable[tuple[float, str, bool]]) -> float:
        """Events (seconds from now, session, whether it is a question rather than a frame) at
        their times, until all is done. Returns seconds."""
        start, wall = time.monotonic(), time.time()
        for at, name, is_question in sorted(events):
            while (ahead := start + at - time.monotonic()) > 0:
                if not self._runner.turn():
                    time.sleep(min(ahead, self._runner.idle_seconds() or ahead))
            if is_question:
                self.ask(name, start + at)
            else:
                self.send(name, wall + at)
        self.work()
        seconds = time.monotonic() - start
        time.sleep(STATUS_SECONDS)
        self.work()  # the last states of the memories
        return seconds

    def close(self) -> None:
        self._runner.close_all("The measurement is over.")


def run(
    seconds: float = 25.0,
    model: str | Path = SHIPPED_MODEL,
    sessions: Sequence[int] = (1, 2, 4, 8, 16),
    rounds: int = 7,
    questions_per_second: float = 4.0,
    max_batch: int = 16,
    threads: int | None = None,
    progress: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """A point for each number of sessions; each is live for `seconds`, and saturated for `rounds`
    rounds in turn with the baseline. Raises OptionError for `seconds` below 2."""
    if not 2 <= seconds < math.inf:
        raise OptionError(f"seconds must be at least 2 (of live streaming a point), not {seconds}")
    engine = Engine.load(model, threads=threads)
    stream = Stream(read_scenes(engine.frame_size, engine.max_pixels), seed=0)
    jpegs = [_jpeg(stream.next()) for _ in range(_PICTURES)]
    idle = Worker(engine, [_IDLE], jpegs, max_batch)
    points = []
    for count in sessions:
        progress(f"{count} sessions")
        for _ in range(round(seconds * questions_per_second)):
            idle.ask(_IDLE, time.monotonic())
            idle.work()
        names = [f"{number}" for number in range(count)]
        worker = Worker(engine, names, jpegs, max_batch)
        rate, rate_alone = _saturated(worker, Worker(engine, names, jpegs, 1), rounds)
        point = {"sessions": count, "frames_per_second": round(rate, 1)}
        point |= _live(worker, seconds, questions_per_second)
        point["one_at_a_time_frames_per_second"] = round(rate_alone, 1)
        points.append(point)
        worker.close()
    idle.close()
    compared = min(points, key=lambda point: abs(point["sessions"] - BASELINE_SESSIONS))
    alone = compared["one_at_a_time_frames_per_second"]
    idle_itl = _percentile(_gaps(idle), 99)
    return {
        "benchmark": "sessions",
        "model": engine.name,
        "device": str(engine.device),
        "threads": torch.get_num_threads(),
        "max_batch": max_batch,
        "compared_sessions": compared["sessions"],
        "one_at_a_time_frames_per_second": alone,
        "times_one_at_a_time": round(compared["frames_per_second"] / alone, 2),
        "idle_itl_p50": _percentile(_gaps(idle), 50),
        "idle_itl_p99": idle_itl,
        "times_idle_itl_p99": round(compared["itl_p99"] / idle_itl, 2),
        "points": points,
    }


def _saturated(worker: Worker, alone: Worker, rounds: int) -> tuple[float, float]:
    """Frames a second of both, medians of rounds taken in turn; `alone` is closed."""
    names = [*worker.names] * (_ROUND // len(worker.names))
    pairs = [(worker.watch(names), alone.watch(names)) for _ in range(rounds)]
    alone.close()
    rates = [len(names) / median(pair[side] for pair in pairs) for side in (0, 1)]
    return rates[0], rates[1]


def _live(worker: Worker, seconds: float, questions_per_second: float) -> dict[str, float]:
    random = np.random.default_rng(len(worker.names))
    events = [
        (phase + second, name, False)
        for name, phase in zip(worker.names, random.random(len(worker.names)), strict=True)
        for second in range(int(seconds))
    ]
    at = random.exponential(1 / questions_per_second)
    while at < seconds:
        events.append((at, worker.names[int(random.integers(len(worker.names)))], True))
        at += random.exponential(1 / questions_per_second)
    before = sum(worker.dropped.values())
    worker.waits.clear()
    taken = worker.live(events)
    first = [
        pieces[0] - worker.asked[response] for response, pieces in worker.pieces.items() if pieces
    ]
    gaps = _gaps(worker)
    return {
        "dropped": sum(worker.dropped.values()) - before,
        "ttft_p50": _percentile(first, 50),
        "ttft_p99": _percentile(first, 99),
        "itl_p50": _percentile(gaps, 50),
        "itl_p99": _percentile(gaps, 99),
        "live_frames_per_second": round(len(worker.waits) / max(seconds, taken), 2),
        "longest_frame_wait_seconds": round(float(max(worker.waits)), 5),
        "questions": len(worker.asked),
        "answers": worker.completed,
        "gaps": len(gaps),
    }


def _gaps(worker: Worker) -> list[float]:
    """Seconds between the pieces of every answer."""
    return [
        later - earlier for pieces in worker.pieces.values() for earlier, later in pairwise(pieces)
    ]


def _percentile(seconds: Sequence[float], percent: int) -> float:
    return round(float(np.percentile(seconds, percent)), 6)


def _jpeg(picture: np.ndarray[Any, np.dtype[np.uint8]]) -> bytes:
    done, jpeg = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    assert done
    return jpeg.tobytes()
