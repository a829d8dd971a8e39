"""Many sessions on one device: frames a second in all, and how long answers wait meanwhile.

Everything goes through the worker's `Runner`, as JPEG frames and questions from the gateway do;
only the broker is missing. For each number of sessions there are two measurements.

*Saturated*: every session always has frames waiting. `frames_per_second` is the median of several
rounds, taken in turn with rounds of as many sessions whose frames pass the model one at a time
(`max_batch=1`): `one_at_a_time_frames_per_second` of that point, and, at 8 sessions, of the whole.
`saturated_itl_p99` is the inter-token latency of one session's answers meanwhile.

*Live*, in real time: each session gets one frame a second, at a phase of its own, and questions
arrive at random (a Poisson process, the same number a second in all at every point). `dropped`
frames, `longest_frame_wait_seconds` from a frame's arrival to the memory, `ttft_p50` and
`ttft_p99` from the question to the first piece of text, `itl_p50` and `itl_p99` between two pieces
of one answer, all in seconds. `idle_itl_p99` is that of one session alone to which no frames come,
measured before each point.
"""

import math
import time
from collections import Counter, defaultdict
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
from messages.sessions import MemoryStatus, OpenSession, SessionClosed, SessionRefused
from model_worker.admission import Admission
from model_worker.engine import Engine
from model_worker.metrics import WorkerMetrics
from model_worker.runner import STATUS_SECONDS, Runner
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


class Watched(WorkerMetrics):
    """Metrics that note which frames were watched and how long each had waited since its
    `captured_at`, in seconds."""

    def __init__(self, model: str) -> None:
        super().__init__(model)
        self.waits: list[float] = []
        self.by_session: Counter[str] = Counter()

    def seen(self, frame: Frame, now: float) -> None:
        """See `WorkerMetrics.seen`."""
        super().seen(frame, now)
        self.waits.append(now - frame.captured_at)
        self.by_session[frame.session] += 1


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
        self._watched = Watched(engine.name)
        self._runner = Runner(
            engine,
            self._hear,
            Admission(len(names)),
            budget_tokens=engine.default_budget_tokens,
            max_batch=max_batch,
            metrics=self._watched,
        )
        for name in names:
            self._runner.handle(OpenSession(name))
        self.saturate(_SETTLED * len(names))

    @property
    def waits(self) -> list[float]:
        """Seconds that each frame waited."""
        return self._watched.waits

    def _hear(self, message: ToGateway) -> None:
        if isinstance(message, AnswerDelta):
            self.pieces[message.response].append(time.monotonic())
        elif isinstance(message, AnswerDone) and message.status != "failed":
            self.completed += message.status != "cancelled"
        elif isinstance(message, MemoryStatus):
            self.dropped[message.session] = message.frames_dropped
        elif isinstance(message, SessionRefused | AnswerDone):
            raise RuntimeError(f"the worker refused or failed: {message.message}")
        elif isinstance(message, SessionClosed) and message.reason == "failed":
            raise RuntimeError(f"a session failed: {message.message}")

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

    def _turn_with_frames(self) -> None:
        """One turn, before which every session has as many frames waiting as its ring holds."""
        for name in self.names:
            while self._numbers[name] - self._watched.by_session[name] < RING:
                self.send(name, time.time())
        self._runner.turn()

    def saturate(self, frames: int) -> float:
        """Turns with frames always waiting until so many more are watched, in all. Returns frames
        a second."""
        start, before = time.perf_counter(), len(self.waits)
        while len(self.waits) < before + frames:
            self._turn_with_frames()
        return (len(self.waits) - before) / (time.perf_counter() - start)

    def answer(self, questions: int, *, frames: bool) -> list[float]:
        """Questions to the first session, one after another, with frames always waiting in all
        sessions or with none. Returns the seconds between the pieces of each answer."""
        before = set(self.asked)
        for _ in range(questions):
            done = self.completed + 1
            self.ask(self.names[0], time.monotonic())
            while self.completed < done:
                if frames:
                    self._turn_with_frames()
                else:
                    self._runner.turn()
        return self.gaps(set(self.asked) - before)

    def gaps(self, responses: Iterable[str]) -> list[float]:
        """Seconds between the pieces of each of these answers."""
        return [
            later - earlier
            for response in responses
            for earlier, later in pairwise(self.pieces[response])
        ]

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
        self.drain()
        return seconds

    def drain(self) -> None:
        """Finish what there is to do, and hear the last states of the memories."""
        self.work()
        time.sleep(STATUS_SECONDS)
        self.work()

    def close(self) -> None:
        self._runner.leave()


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
    points, idle_gaps = [], list[float]()
    asked = round(seconds * questions_per_second)
    for count in sessions:
        progress(f"{count} sessions")
        idle_gaps += idle.answer(asked, frames=False)
        names = [f"{number}" for number in range(count)]
        worker = Worker(engine, names, jpegs, max_batch)
        alone = Worker(engine, names, jpegs, 1)
        rates = [(worker.saturate(_ROUND), alone.saturate(_ROUND)) for _ in range(rounds)]
        alone.close()
        point = {
            "sessions": count,
            "frames_per_second": round(median(rate for rate, _ in rates), 1),
            "one_at_a_time_frames_per_second": round(median(rate for _, rate in rates), 1),
            "saturated_itl_p99": _percentile(worker.answer(asked, frames=True), 99),
        }
        points.append(point | _live(worker, seconds, questions_per_second))
        worker.close()
    idle.close()
    compared = min(points, key=lambda point: abs(point["sessions"] - BASELINE_SESSIONS))
    baseline = compared["one_at_a_time_frames_per_second"]
    idle_itl = _percentile(idle_gaps, 99)
    return {
        "benchmark": "sessions",
        "model": engine.name,
        "device": str(engine.device),
        "threads": torch.get_num_threads(),
        "max_batch": max_batch,
        "compared_sessions": compared["sessions"],
        "one_at_a_time_frames_per_second": baseline,
        "times_one_at_a_time": round(compared["frames_per_second"] / baseline, 2),
        "idle_itl_p50": _percentile(idle_gaps, 50),
        "idle_itl_p99": idle_itl,
        "times_idle_itl_p99": round(compared["itl_p99"] / idle_itl, 2),
        "points": points,
    }


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
    worker.drain()
    dropped, completed, before = sum(worker.dropped.values()), worker.completed, set(worker.asked)
    worker.waits.clear()
    taken = worker.live(events)
    asked = set(worker.asked) - before
    first = [worker.pieces[each][0] - worker.asked[each] for each in asked if worker.pieces[each]]
    gaps = worker.gaps(asked)
    return {
        "dropped": sum(worker.dropped.values()) - dropped,
        "ttft_p50": _percentile(first, 50),
        "ttft_p99": _percentile(first, 99),
        "itl_p50": _percentile(gaps, 50),
        "itl_p99": _percentile(gaps, 99),
        "live_frames_per_second": round(len(worker.waits) / max(seconds, taken), 2),
        "longest_frame_wait_seconds": round(float(max(worker.waits)), 5),
        "questions": len(asked),
        "answers": worker.completed - completed,
        "gaps": len(gaps),
    }


def _percentile(seconds: Sequence[float], percent: int) -> float:
    return round(float(np.percentile(seconds, percent)), 6)


def _jpeg(picture: np.ndarray[Any, np.dtype[np.uint8]]) -> bytes:
    done, jpeg = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    assert done
    return jpeg.tobytes()
