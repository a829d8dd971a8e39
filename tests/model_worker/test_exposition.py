"""A worker's HTTP port: metrics for Prometheus, and plain words for probes."""

import socket
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
from prometheus_client.parser import text_string_to_metric_families

from model_worker.exposition import Exposition, ExpositionError
from model_worker.metrics import WorkerMetrics


@pytest.fixture
def exposition() -> Iterator[Exposition]:
    made = Exposition("127.0.0.1", 0)
    yield made
    made.close()


def _get(exposition: Exposition, path: str, method: str = "GET") -> tuple[int, str]:
    request = urllib.request.Request(f"http://127.0.0.1:{exposition.port}{path}", method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_while_the_model_loads_the_worker_lives_and_is_not_ready(exposition: Exposition) -> None:
    assert _get(exposition, "/health") == (200, "ok\n")
    assert _get(exposition, "/ready") == (503, "the model is being loaded\n")
    assert _get(exposition, "/metrics")[0] == 503


def test_a_probe_is_told_what_is_wrong(exposition: Exposition) -> None:
    exposition.registry = WorkerMetrics("tiny").registry
    exposition.ready = lambda: "the worker is about to stop"
    assert _get(exposition, "/ready?verbose") == (503, "the worker is about to stop\n")
    exposition.ready = lambda: None
    assert _get(exposition, "/ready") == (200, "ok\n")
    assert _get(exposition, "/ready", "HEAD") == (200, "")
    exposition.health = lambda: "the model has been at one turn for 301 s"
    assert _get(exposition, "/health")[0] == 503
    status, text = _get(exposition, "/metrics")
    names = {family.name for family in text_string_to_metric_families(text)}
    assert status == 200 and "lookback_time_to_first_token_seconds" in names
    assert _get(exposition, "/elsewhere")[0] == 404


def test_a_taken_port_is_refused_in_words(exposition: Exposition) -> None:
    with pytest.raises(ExpositionError, match="LOOKBACK_METRICS_PORT"):
        Exposition("127.0.0.1", exposition.port)


def test_who_says_nothing_holds_up_nobody(exposition: Exposition) -> None:
    with socket.create_connection(("127.0.0.1", exposition.port)):
        assert _get(exposition, "/health")[0] == 200
