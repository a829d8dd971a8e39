"""A whole service as its operator sees it: metrics, traces and log lines of real processes."""

import asyncio
import json
import re
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from server.request_ids import HEADER
from tests.lookback.conftest import ROOT, Serving, eventually, serving
from tests.server.clients import eventually as soon
from tests.server.clients import new_session, sending, talking
from tests.telemetry.collector import Collector, collecting

QUESTION = "What colour is the ball?"
INCOMING = "00-" + "c" * 32 + "-" + "d" * 16 + "-01"


@dataclass
class Observed:
    """session: its whole id, which has asked twice. gateway, worker: what a scrape said."""

    session: str
    gateway: str
    worker: str
    collector: Collector
    lines: list[dict[str, Any]]
    text: str


@pytest.fixture(scope="module")
def service(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    folder = tmp_path_factory.mktemp("observed")
    with pytest.MonkeyPatch.context() as patch, collecting() as collector:
        for name, value in {
            "LOOKBACK_LOG_FORMAT": "json",
            "LOOKBACK_LOG_LEVEL": "debug",
            "LOOKBACK_METRICS_PORT": "0",
            "LOOKBACK_TRACING": collector.url,
            "LOOKBACK_SNAPSHOT_SECONDS": "0.2",
            "OTEL_BSP_SCHEDULE_DELAY": "200",
        }.items():
            patch.setenv(name, value)
        with serving(model, folder) as running:
            yield running, collector


def _worker_port(service: Serving) -> int:
    said = r"metrics at http://127.0.0.1:(\d+)/"
    found = eventually(lambda: re.search(said, service.said), "port of metrics")
    return int(found[1])


def _read(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as reply:
        text: str = reply.read().decode()
    return text


@pytest.fixture(scope="module")
def observed(service: Any) -> Observed:
    return asyncio.run(_observe(*service))


async def _observe(running: Serving, collector: Collector) -> Observed:
    """One session that sees, and answers by websocket and by chat completion."""
    session = new_session(running.url)
    async with sending(running.url, session), talking(running.url, session) as client:
        await client.until("lookback.memory.updated")
        await client.ask(QUESTION, max_output_tokens=8)
        await client.until("response.done")
        body = {"model": session, "messages": [{"role": "user", "content": QUESTION}]}
        request = urllib.request.Request(
            f"{running.url}/v1/chat/completions",
            json.dumps(body | {"max_tokens": 8}).encode(),
            {"Content-Type": "application/json", HEADER: "chat-1", "traceparent": INCOMING},
        )
        assert await asyncio.to_thread(_status, request) == 200
        worker = f"http://127.0.0.1:{_worker_port(running)}"
        await soon(lambda: 'outcome="written"} 0.0' not in _read(f"{worker}/metrics"))
        await soon(lambda: len(collector.named("answer")) == 2 and collector.named("watch"))
        await soon(lambda: len(collector.named("question")) == 2)
        assert _read(f"{worker}/ready") == _read(f"{worker}/health") == "ok\n"
        scraped = _read(f"{running.url}/metrics"), _read(f"{worker}/metrics")
    text = running.said
    lines = [json.loads(line) for line in text.splitlines()]
    return Observed(session, *scraped, collector, lines, text)


def _status(request: urllib.request.Request) -> int:
    with urllib.request.urlopen(request, timeout=60) as reply:
        assert reply.headers[HEADER] == "chat-1"
        return int(reply.status)


def _samples(text: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def _sum(text: str, name: str) -> float:
    return sum(value for (known, _), value in _samples(text).items() if known == name)


def test_the_worker_tells_llm_servers_metrics(observed: Observed) -> None:
    worker = observed.worker
    assert _sum(worker, "lookback_time_to_first_token_seconds_count") == 2
    assert _sum(worker, "lookback_e2e_request_latency_seconds_count") == 2
    assert _sum(worker, "lookback_request_queue_time_seconds_count") == 2
    tokens = _sum(worker, "lookback_generation_tokens_total")
    assert 2 <= tokens <= 16 and _sum(worker, "lookback_prompt_tokens_total") > tokens
    assert _sum(worker, "lookback_inter_token_latency_seconds_count") >= tokens - 2
    assert _sum(worker, "lookback_request_success_total") == 2
    assert 0 < _sum(worker, "lookback_kv_cache_usage_perc") <= 1
    assert _sum(worker, "lookback_sessions") == 1
    seen = _sum(worker, "lookback_frames_total")
    assert seen >= 1 and _sum(worker, "lookback_frame_age_seconds_count") == seen
    assert 0 <= _sum(worker, "lookback_frame_age_seconds_sum") < 60
    assert _sum(worker, "lookback_snapshot_bytes_total") > 1000
    labels = [dict(labels) for name, labels in _samples(worker) if name.endswith("_count")]
    assert all(label["model_name"] for label in labels)
    for text in (worker, observed.gateway):
        assert observed.session[:8] not in text


def test_what_the_dashboard_asks_for_is_told(observed: Observed) -> None:
    dashboard = json.loads((ROOT / "deploy" / "grafana" / "dashboard.json").read_text())
    queries = [
        target["expr"]
        for panel in dashboard["panels"]
        for target in panel.get("targets", [])
    ]  # fmt: skip
    told = {name for name, _ in _samples(observed.gateway) | _samples(observed.worker)}
    # A camera's or a refusal's series is there from the first one on.
    later = {"lookback_gateway_sessions_closed_total", "lookback_gateway_sessions_refused_total"}
    asked = {name for query in queries for name in re.findall(r"lookback_\w+", query)}
    assert len(queries) >= 20 and asked <= told | later, sorted(asked - told - later)
    told_of = (*_samples(observed.gateway), *_samples(observed.worker))
    known = {label for _, pairs in told_of for label, _ in pairs} | {
        "job",
        "instance",
        "reason",
        "code",
    }
    grouped = {
        label.strip()
        for query in queries
        for group in re.findall(r"by \(([^)]*)\)", query)
        for label in group.split(",")
    }
    assert grouped <= known, grouped - known


def test_a_trace_goes_from_the_question_to_the_token(observed: Observed) -> None:
    spans = observed.collector.spans
    questions = observed.collector.named("question")
    [asked] = [span for span in questions if span.trace == "c" * 32]
    assert asked.parent == "d" * 16 and asked.service == "lookback-gateway"
    assert "first_token" in asked.events
    [answer] = [span for span in observed.collector.named("answer") if span.trace == asked.trace]
    assert answer.parent == asked.id and answer.service == "lookback-worker"
    parts = {span.name: span for span in spans if span.parent == answer.id}
    assert set(parts) == {"queue", "prefill", "decode"}
    assert answer.attributes["gen_ai.usage.output_tokens"] >= 1
    assert answer.attributes["lookback.session"] == observed.session[:8]
    assert asked.began <= answer.began + 0.1 and answer.ended <= asked.ended + 0.1
    frames = {span.trace: span for span in observed.collector.named("frame")}
    [link] = answer.links
    [watched] = [span for span in observed.collector.named("watch") if span.trace == link]
    assert link in frames and watched.parent == frames[link].id
    assert watched.service == "lookback-worker" and frames[link].service == "lookback-gateway"
    assert not any(observed.session in str(span.attributes) for span in spans)


def test_lines_are_objects_with_ids_and_without_contents(observed: Observed) -> None:
    parts = {line["part"] for line in observed.lines}
    assert parts == {"supervisor", "gateway", "worker"}
    short = observed.session[:8]
    assert {line["part"] for line in observed.lines if line.get("session") == short} == {
        "gateway",
        "worker",
    }
    ended = [line for line in observed.lines if line.get("status") in ("completed", "incomplete")]
    assert len(ended) == 2 and all(line["completion_tokens"] >= 1 for line in ended)
    assert any(line.get("request") == "chat-1" for line in observed.lines)
    assert observed.session not in observed.text and QUESTION not in observed.text
    assert "question" not in {name for line in observed.lines for name in line}
