"""What a gateway counts is what happened, and nothing in it names a session."""

import asyncio
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families

from server.metrics import GatewayMetrics
from tests.server.clients import Client, eventually, new_session, sending
from tests.server.peer import PeerWorker

Values = dict[tuple[str, frozenset[tuple[str, str]]], float]


def _scrape(url: str) -> tuple[str, Values]:
    reply = httpx.get(f"{url}/metrics")
    assert reply.status_code == 200 and reply.headers["content-type"].startswith("text/plain")
    values = {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(reply.text)
        for sample in family.samples
    }
    return reply.text, values


def _of(values: Values, name: str, **labels: str) -> float:
    return values[f"lookback_{name}", frozenset(labels.items())]


async def test_a_scrape_tells_frames_answers_sessions_cameras_and_websockets(
    gateway: str, seen: str, asker: Client, worker: PeerWorker
) -> None:
    await asker.ask("what is there")
    await asker.until("response.done")
    await asker.ask("fail")
    await asker.until("response.done")
    text, values = await asyncio.to_thread(_scrape, gateway)
    received, sampled, sent = (
        _of(values, "frames_total", fate=fate) for fate in ("received", "sampled", "sent")
    )
    assert received >= sampled >= sent >= 1
    assert _of(values, "gateway_requests_total", status="completed") == 1
    assert _of(values, "gateway_requests_total", status="failed") == 1
    assert _of(values, "gateway_time_to_first_token_seconds_count") == 1
    assert _of(values, "gateway_request_seconds_count") == 2
    assert _of(values, "gateway_sessions", state="watching") == 1
    assert _of(values, "gateway_cameras", kind="webrtc", state="live") == 1
    assert _of(values, "gateway_websockets", route="/v1/realtime") == 1
    assert _of(values, "gateway_workers", state="ready") == 1
    assert _of(values, "gateway_broker_up") == 1
    assert _of(values, "gateway_queue_length") == 0
    assert _of(values, "gateway_sessions_opened_total") == 1
    assert _of(values, "session_queue_wait_seconds_count") == 1
    made = {"method": "POST", "route": "/v1/sessions", "status": "201"}
    assert _of(values, "gateway_http_requests_total", **made) == 1
    assert _of(values, "frames_dropped_total", cause="broker") == 0
    assert seen not in text and seen[:8] not in text
    await asyncio.to_thread(httpx.delete, f"{gateway}/v1/sessions/{seen}")
    _, values = await asyncio.to_thread(_scrape, gateway)
    assert _of(values, "gateway_sessions_closed_total", reason="closed") == 1
    assert _of(values, "gateway_sessions", state="watching") == 0
    assert not any(name == "lookback_gateway_cameras" for name, _ in values)


def test_who_gets_no_session_is_counted_by_the_reason(gateway: str, worker: PeerWorker) -> None:
    worker.refusal = "That can never be."
    assert httpx.post(f"{gateway}/v1/sessions").status_code == 422
    _, values = _scrape(gateway)
    assert _of(values, "gateway_sessions_refused_total", code="session_refused") == 1


def test_paths_that_nobody_serves_are_one_series(gateway: str) -> None:
    for path in ("/v1/secret-1", "/v1/secret-2"):
        assert httpx.get(f"{gateway}{path}").status_code == 404
    text, values = _scrape(gateway)
    other = {"method": "GET", "route": "other", "status": "404"}
    assert _of(values, "gateway_http_requests_total", **other) == 2 and "secret" not in text


async def test_frames_that_are_lost_are_counted_by_cause(gateway: str, worker: PeerWorker) -> None:
    session = new_session(gateway)
    async with sending(gateway, session):
        await eventually(lambda: worker.frames)
        state: Any = (await asyncio.to_thread(httpx.get, f"{gateway}/v1/sessions/{session}")).json()
    _, values = await asyncio.to_thread(_scrape, gateway)
    lost = sum(
        _of(values, "frames_dropped_total", cause=cause)
        for cause in ("slot", "broker", "rejected", "overtaken")
    )
    assert lost >= state["camera"]["frames_dropped"]


def test_a_strange_method_is_no_series_of_its_own() -> None:
    metrics = GatewayMetrics()
    metrics.answered("BREW", "/v1/sessions", 405)
    labels = {"method": "other", "route": "/v1/sessions", "status": "405"}
    total = metrics.registry.get_sample_value("lookback_gateway_http_requests_total", labels)
    assert total == 1
