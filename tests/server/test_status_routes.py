"""Probes, metrics and the state of the service: who may read what, and what an operator is told."""

import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from msgspec.structs import replace

from tests.server.keyed import bearer, made
from tests.server.peer import PeerWorker


def _ready(url: str, status: int) -> dict[str, object]:
    """What it says once it has this status."""
    deadline = time.monotonic() + 30
    while (reply := httpx.get(f"{url}/ready")).status_code != status:
        assert time.monotonic() < deadline, reply.text
        time.sleep(0.05)
    told: dict[str, object] = reply.json()
    return told


def test_a_worker_that_is_about_to_stop_makes_nobody_ready(
    gateway: str, worker: PeerWorker
) -> None:
    assert _ready(gateway, 200)["sampled_per_second"] == 1.0
    worker.card = replace(worker.card, draining=True)
    error = _ready(gateway, 503)["error"]
    assert isinstance(error, dict) and error["code"] == "workers_stop"
    assert httpx.get(f"{gateway}/health").status_code == 200
    assert 'lookback_gateway_workers{state="draining"} 1.0' in httpx.get(f"{gateway}/metrics").text
    worker.card = replace(worker.card, draining=False)
    _ready(gateway, 200)


def test_metrics_and_status_take_a_key_with_the_scope(
    serve: Callable[..., str], tmp_path: Path
) -> None:
    path = tmp_path / "keys.json"
    everything = made(path, "user", "publish", "ask", "manage")
    prometheus = made(path, "prometheus", "observe")
    url = serve(api_keys_file=path)
    for place in ("/metrics", "/v1/status"):
        assert httpx.get(url + place).status_code == 401
        assert httpx.get(url + place, headers=bearer(everything)).status_code == 403
        assert httpx.get(url + place, headers=bearer(prometheus)).status_code == 200
    assert httpx.post(f"{url}/v1/sessions", headers=bearer(prometheus)).status_code == 403
    for place in ("/health", "/ready"):
        assert httpx.get(url + place).status_code == 200
    told = httpx.post(f"{url}/v1/sessions", headers=bearer(everything)).json()
    token = f"{url}/v1/sessions/{told['id']}/tokens"
    wanted = {"scopes": ["observe"]}
    assert httpx.post(token, headers=bearer(everything), json=wanted).status_code == 422


@pytest.mark.parametrize(("metrics", "status"), [("open", 200), ("off", 404)])
def test_metrics_can_be_open_or_off(
    serve: Callable[..., str], tmp_path: Path, metrics: str, status: int
) -> None:
    path = tmp_path / "keys.json"
    made(path, "user")
    url = serve(api_keys_file=path, metrics=metrics)
    assert httpx.get(f"{url}/metrics").status_code == status
    assert httpx.get(f"{url}/v1/status").status_code == 401


def test_status_tells_all_workers_and_no_whole_id(gateway: str, worker: PeerWorker) -> None:
    session = httpx.post(f"{gateway}/v1/sessions").json()["id"]
    reply = httpx.get(f"{gateway}/v1/status")
    told = reply.json()
    assert (told["broker"], told["queue"]) == ("up", 0)
    assert [card["worker"] for card in told["workers"]] == [worker.card.worker]
    [shown] = told["sessions"]
    assert shown["id"] == session[:8] and session not in reply.text
    assert (shown["state"], shown["camera"]) == ("idle", None)
    assert shown["worker"] == worker.card.worker and shown["cap_tokens"] == 288
