"""What a worker counts and times, in Prometheus' terms and under the names of LLM servers.

Labels are few and bounded: no session, response or key is one. Times are seconds on this process's
own clock, except a frame's age, which compares the gateway's clock with ours.
"""

from collections import Counter as Tally
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from messages.answers import AnswerDone
from messages.codec import ToGateway
from messages.frames import Frame, FrameRejected
from messages.sessions import SessionClosed, SessionMoved, SessionRefused

WAITS: Final = (0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2.5, 5, 10, 20, 40, 80, 160)
TOKENS: Final = (0.001, 0.0025, 0.005, 0.01, 0.015, 0.025, 0.05, 0.075, 0.1, 0.2, 0.4, 0.8, 2, 5)
AGES: Final = (0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10, 30)
PASSES: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
_REASONS: Final = {
    "completed": "stop",
    "incomplete": "length",
    "cancelled": "abort",
    "failed": "error",
}

disable_created_metrics()  # type: ignore[no-untyped-call]  # a series more for each, unused


@dataclass(frozen=True)
class Now:
    """A worker as it is at a scrape. `sessions` and `kv_bytes_used` by the class of the sessions'
    budgets: default, smaller or larger. `busy_seconds`: how long the model's present turn has
    taken so far."""

    sessions: Mapping[str, int] = field(default_factory=dict)
    kv_bytes_used: Mapping[str, int] = field(default_factory=dict)
    kv_bytes: int = 0
    max_sessions: int = 0
    running: int = 0
    waiting: int = 0
    frames_waiting: int = 0
    busy_seconds: float = 0.0
    ready: bool = False
    draining: bool = False


class WorkerMetrics:
    """One worker's. Everything may be called from any thread."""

    def __init__(self, model_name: str, process: bool = False) -> None:
        """process: this process's memory and CPU time are told, too."""
        self.registry = CollectorRegistry()
        self._model_name = model_name
        if process:
            ProcessCollector(registry=self.registry)
        self.time_to_first_token = self._times(
            "time_to_first_token",
            "From a question's arrival to its first token",
            WAITS,
        )
        self.inter_token_latency = self._times(
            "inter_token_latency", "From one token of an answer to the next", TOKENS
        )
        self.e2e_request_latency = self._times(
            "e2e_request_latency", "From a question's arrival to the end of its answer", WAITS
        )
        self.request_queue_time = self._times(
            "request_queue_time", "From a question's arrival to its prefill", WAITS
        )
        self.request_prefill_time = self._times(
            "request_prefill_time", "From the beginning of prefill to the first token", WAITS
        )
        self.request_decode_time = self._times(
            "request_decode_time", "From the first token to the last", WAITS
        )
        self.frame_age = self._times("frame_age", "Of frames, from capture to memory", AGES)
        self.compression = self._times(
            "compression", "Of compression passes over a session's memory", PASSES
        )
        self.snapshot = self._times("snapshot_write", "Of snapshots that were written", WAITS)
        self._prompt_tokens = self._count("prompt_tokens", "Prefilled, with what memory holds")
        self._generation_tokens = self._count("generation_tokens", "Written")
        self._requests = self._labelled(
            "request_success", "Questions that have ended", "finished_reason", _REASONS.values()
        )
        self._frames_seen = self._labelled("frames", "By what became of them", "fate", ["seen"])
        self._drops = self._labelled(
            "frames_dropped", "By what they were lost to", "cause", ["ring", "rejected"]
        )
        self._takeovers = self._labelled(
            "takeovers",
            "Sessions of other workers that were gone on with",
            "memory",
            ["restored", "lost"],
        )
        self._closed = self._labelled(
            "sessions_closed", "By why", "reason", ["closed", "abandoned", "failed"]
        )
        self._refused = self._labelled(
            "sessions_refused", "For want of room, or for good", "reason", ["full", "impossible"]
        )
        self.snapshots = self._labelled(
            "snapshots", "Put away, or not", "outcome", ["written", "failed"]
        )
        self.snapshot_bytes = self._count("snapshot_bytes", "Of snapshots that were written")
        self.lease_losses = self._count("lease_losses", "Sessions lost to other workers")
        self.broker_errors = self._count("broker_errors", "Times that the broker did not answer")
        self.recent = Recent()

    def watch(self, now: Callable[[], Now]) -> None:
        """Have a scrape tell this state, too."""
        self.registry.register(_State(now, self._model_name))

    # What happens, as the worker says it.

    def note(self, message: ToGateway) -> None:
        """Counts what a session's clients are told."""
        match message:
            case AnswerDone():
                self._requests[_REASONS[message.status]].inc()
                self._prompt_tokens.inc(message.prompt_tokens)
                self._generation_tokens.inc(message.completion_tokens)
            case FrameRejected():
                self._drops["rejected"].inc()
            case SessionMoved():
                self._takeovers["restored" if message.restored else "lost"].inc()
            case SessionClosed():
                self._closed[message.reason].inc()
            case SessionRefused():
                self._refused["impossible" if message.retry_after is None else "full"].inc()

    def dropped(self, frames: int) -> None:
        """So many frames were pushed out by newer ones."""
        if frames:
            self._drops["ring"].inc(frames)

    def seen(self, frame: Frame, now: float) -> None:
        """A frame is in memory, at `now` in Unix seconds."""
        age = max(0.0, now - frame.captured_at)
        self._frames_seen["seen"].inc()
        self.frame_age.observe(age)
        self.recent.frame_age = age

    def first_token(self, seconds: float) -> None:
        """So long after its question came."""
        self.time_to_first_token.observe(seconds)
        self.recent.ttft = seconds

    # How they are made.

    def _times(self, name: str, text: str, buckets: Iterable[float]) -> Histogram:
        family = Histogram(
            f"lookback_{name}_seconds",
            f"{text}, in seconds.",
            ["model_name"],
            buckets=tuple(buckets),
            registry=self.registry,
        )
        return family.labels(self._model_name)

    def _count(self, name: str, text: str) -> Counter:
        made = Counter(f"lookback_{name}", f"{text}.", ["model_name"], registry=self.registry)
        return made.labels(self._model_name)

    def _labelled(
        self, name: str, text: str, label: str, values: Iterable[str]
    ) -> dict[str, Counter]:
        """A counter for each value, which is there before it first counts."""
        made = Counter(
            f"lookback_{name}", f"{text}.", ["model_name", label], registry=self.registry
        )
        return {value: made.labels(self._model_name, value) for value in values}


@dataclass
class Recent:
    """The latest of each, in seconds, for the worker's card."""

    ttft: float | None = None
    frame_age: float | None = None


class _State(Collector):
    def __init__(self, now: Callable[[], Now], model_name: str) -> None:
        self._now = now
        self._model_name = model_name

    def describe(self) -> Iterator[Metric]:
        """Nothing to be known beforehand: a scrape asks the worker."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        now = self._now()
        used = sum(now.kv_bytes_used.values())
        plain: tuple[tuple[str, str, float], ...] = (
            ("num_requests_running", "Answers that are being written.", now.running),
            ("num_requests_waiting", "Questions that wait for their turn.", now.waiting),
            ("frames_waiting", "Frames that wait for their turn.", now.frames_waiting),
            ("kv_cache_usage_perc", "1: all KV memory is taken.", used / max(1, now.kv_bytes)),
            ("kv_cache_bytes", "KV memory of all sessions together.", now.kv_bytes),
            ("max_sessions", "Sessions that are taken at most.", now.max_sessions),
            ("model_busy_seconds", "How long the present turn has taken.", now.busy_seconds),
            ("worker_ready", "1: sessions are taken and served.", now.ready),
            ("worker_draining", "1: about to stop, no session is taken.", now.draining),
        )
        for name, text, value in plain:
            yield self._family(name, text, {(): value})
        sizes = ("default", "smaller", "larger")
        sessions, kept = Tally(now.sessions), Tally(now.kv_bytes_used)
        counts: dict[tuple[str, ...], float] = {(size,): sessions[size] for size in sizes}
        taken: dict[tuple[str, ...], float] = {(size,): kept[size] for size in sizes}
        yield self._family("sessions", "Open ones, by their budget's class.", counts, "budget")
        text = "KV memory that sessions take, by their budget's class."
        yield self._family("kv_cache_used_bytes", text, taken, "budget")

    def _family(
        self, name: str, text: str, values: Mapping[tuple[str, ...], float], *labels: str
    ) -> Metric:
        family = GaugeMetricFamily(f"lookback_{name}", text, labels=["model_name", *labels])
        for label_values, value in values.items():
            family.add_metric([self._model_name, *label_values], float(value))
        return family
