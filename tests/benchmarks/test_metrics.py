"""The benchmark reports what it says it does."""

import json

import pytest

from benchmarks import metrics


def test_it_reports_each_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "ROUNDS", 1)
    monkeypatch.setattr(metrics, "TIMES", 20)
    monkeypatch.setattr(metrics.best, "__defaults__", (20,))
    told = json.loads(json.dumps(metrics.measure()))
    assert set(told) == {
        "token_us",
        "frame_worker_us",
        "frame_gateway_us",
        "scrape_worker_us",
        "scrape_bytes",
    }
    assert all(value > 0 for value in told.values()) and told["scrape_bytes"] > 5000
