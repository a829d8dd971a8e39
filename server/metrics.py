"""What a gateway counts and times, in Prometheus' terms; names beside the workers' own.

Labels are few and bounded: no session, response, key or address is one.
"""

from collections import Counter as Tally
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from messages.workers import WorkerCard

disable_created_metrics()  # type: ignore[no-untyped-call]  # a series more for each, unused

_WAITS: Final = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2.5, 5, 10, 20, 40, 80, 160)
_FATES: Final = ("received", "sampled", "skipped", "sent")
_CAUSES: Final = ("slot", "broker", "rejected", "overtaken")
_STATUSES: Final = ("completed", "incomplete", "cancelled", "failed")
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PATCH", "DELETE", "OPTIONS", "WEBSOCKET"})
_OTHER: Final = "other"


@dataclass(frozen=True)
class Now:
    """A gateway as it is at a scrape. `sessions` by state, `cameras` by kind and state."""

    sessions: Mapping[str, int] = field(default_factory=dict)
    cameras: Mapping[tuple[str, str], int] = field(default_factory=dict)
    workers: tuple[WorkerCard, ...] = ()
    strangers: int = 0
    queued: int = 0
    broker_up: bool = False


class GatewayMetrics:
    """One gateway's; for its event loop alone."""

    def __init__(self, process: bool = False) -> None:
        """process: this process's memory and CPU time are told, too."""
        self.registry = CollectorRegistry()
        if process:
            ProcessCollector(registry=self.registry)
        self.frames = self._labelled("frames", "By what became of them", "fate", _FATES)
        self.drops = self._labelled("frames_dropped", "By what they were lost to", "cause", _CAUSES)
        self.requests = self._labelled(
            "gateway_requests", "Questions that have ended", "status", _STATUSES
        )
        self.time_to_first_token = self._times(
            "gateway_time_to_first_token", "From the wish for an answer to its first text"
        )
        self.request_time = self._times(
            "gateway_request", "From the wish for an answer to its end, as clients see it"
        )
        self.queue_wait = self._times(
            "session_queue_wait", "From the wish for a session to the worker that opened it"
        )
        self.opened = Counter(
            "lookback_gateway_sessions_opened", "Sessions.", registry=self.registry
        )
        self.adopted = Counter(
            "lookback_gateway_sessions_adopted",
            "Sessions taken over from other gateways.",
            registry=self.registry,
        )
        self._closed = Counter(
            "lookback_gateway_sessions_closed", "By why.", ["reason"], registry=self.registry
        )
        self._refused = Counter(
            "lookback_gateway_sessions_refused", "By why.", ["code"], registry=self.registry
        )
        self.moved = self._labelled(
            "gateway_sessions_moved",
            "Sessions that another worker went on with",
            "memory",
            ("restored", "lost"),
        )
        self._http = Counter(
            "lookback_gateway_http_requests",
            "Requests that were answered, and websockets that have ended.",
            ["method", "route", "status"],
            registry=self.registry,
        )
        self._websockets = Gauge(
            "lookback_gateway_websockets", "Open ones.", ["route"], registry=self.registry
        )

    def watch(self, now: Callable[[], Now]) -> None:
        """Have a scrape tell this state, too."""
        self.registry.register(_State(now))

    def closed(self, reason: str) -> None:
        """A session has ended. reason: one of a few that the code gives."""
        self._closed.labels(reason).inc()

    def refused(self, code: str) -> None:
        """Somebody who wanted a session got none. code: the error's."""
        self._refused.labels(code).inc()

    def answered(self, method: str, route: str | None, status: int) -> None:
        """A request was. route: its template, None where there is none for it."""
        known = method if method in _METHODS else _OTHER
        self._http.labels(known, route or _OTHER, str(status)).inc()

    def websocket(self, route: str | None, change: int) -> None:
        """One more, or one less."""
        self._websockets.labels(route or _OTHER).inc(change)

    def _times(self, name: str, text: str) -> Histogram:
        return Histogram(
            f"lookback_{name}_seconds",
            f"{text}, in seconds.",
            buckets=_WAITS,
            registry=self.registry,
        )

    def _labelled(
        self, name: str, text: str, label: str, values: Iterable[str]
    ) -> dict[str, Counter]:
        """A counter for each value, which is there before it first counts."""
        made = Counter(f"lookback_{name}", f"{text}.", [label], registry=self.registry)
        return {value: made.labels(value) for value in values}


class _State(Collector):
    def __init__(self, now: Callable[[], Now]) -> None:
        self._now = now

    def describe(self) -> Iterator[Metric]:
        """Nothing to be known beforehand: a scrape asks the gateway."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        now = self._now()
        plain: tuple[tuple[str, str, float], ...] = (
            ("broker_up", "1: the broker answers.", now.broker_up),
            ("queue_length", "Sessions that wait for a worker, of all gateways.", now.queued),
            ("workers_incompatible", "Living ones of another version.", now.strangers),
        )
        for name, text, value in plain:
            yield GaugeMetricFamily(f"lookback_gateway_{name}", text, value=float(value))
        states = Tally({("ready",): 0, ("draining",): 0})
        states.update(("draining" if w.draining else "ready",) for w in now.workers)
        yield _gauge(
            "gateway_workers", "Living ones, as this gateway sees them.", states.items(), "state"
        )
        sessions = (((state,), n) for state, n in now.sessions.items())
        yield _gauge("gateway_sessions", "Open here, by state.", sessions, "state")
        cameras = now.cameras.items()
        yield _gauge("gateway_cameras", "Here, by kind and state.", cameras, "kind", "state")


def _gauge(
    name: str, text: str, values: Iterable[tuple[tuple[str, ...], int]], *labels: str
) -> Metric:
    family = GaugeMetricFamily(f"lookback_{name}", text, labels=labels)
    for label_values, value in values:
        family.add_metric(label_values, float(value))
    return family
