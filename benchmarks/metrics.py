"""What counting costs: seconds of the hot paths for each token, frame and scrape.

python -m benchmarks.metrics
"""

import json
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from prometheus_client import generate_latest

from messages.frames import Frame
from model_worker.metrics import Now, WorkerMetrics
from model_worker.replies import Replies
from model_worker.traces import Traces
from server.observer import Observer

ROUNDS = 5
TIMES = 50_000


def best(work: Callable[[], object], times: int = TIMES) -> float:
    """Seconds for one time, of the best round: the others had neighbours."""
    least = float("inf")
    for _ in range(ROUNDS):
        began = time.perf_counter()
        for _ in range(times):
            work()
        least = min(least, time.perf_counter() - began)
    return least / times


def measure() -> dict[str, float]:
    """Microseconds of each, and a scrape's bytes."""
    metrics, observer, traces = WorkerMetrics("tiny", process=True), Observer(), Traces()
    metrics.watch(lambda: Now(kv_bytes=1))
    replies = Replies(lambda message: None, metrics, traces)
    answer = SimpleNamespace(completion_tokens=0)
    reply: Any = SimpleNamespace(
        answer=answer, tokens=0, first_token_at=None, asked_at=0.0, token_at=0.0
    )
    frame = Frame("session", 1, 1.0, 2.0, b"")

    def token() -> None:
        answer.completion_tokens += 1
        replies._time(reply)

    def seen() -> None:
        metrics.seen(frame, 2.1)
        traces.watched(frame, 0.0, 0.0)

    def sent() -> None:
        observer.metrics.frames["received"].inc()
        observer.sent(1, observer.sampled("session"))

    figures = {"token": best(token), "frame_worker": best(seen), "frame_gateway": best(sent)}
    figures["scrape_worker"] = best(lambda: generate_latest(metrics.registry), 50)
    told = {f"{name}_us": round(1e6 * seconds, 2) for name, seconds in figures.items()}
    return {**told, "scrape_bytes": len(generate_latest(metrics.registry))}


if __name__ == "__main__":
    print(json.dumps(measure()))
