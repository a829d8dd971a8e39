"""The gateway starts, says whether it is ready, and has one shape for every error."""

from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from broker.connection import BrokerError
from server.app import GatewayError, run
from server.settings import GatewaySettings


def test_health_and_ready(gateway: str) -> None:
    assert httpx.get(f"{gateway}/health").json() == {"status": "ok"}
    ready = httpx.get(f"{gateway}/ready")
    assert ready.status_code == 200
    assert ready.json()["worker"]["model"] == "peer"


def test_a_page_and_a_clip(serve: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("<h1>Lookback</h1>")
    (tmp_path / "objects.mp4").write_bytes(bytes(range(256)))
    url = serve(client_folder=tmp_path, samples_folder=tmp_path)
    for path in ("/", "/index.html", "/static/index.html"):
        page = httpx.get(url + path)
        assert page.status_code == 200 and "Lookback" in page.text
        assert page.headers["cache-control"] == "no-cache"
    part = httpx.get(f"{url}/sample.mp4", headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, bytes(range(10, 20)))
    missing = httpx.get(f"{url}/sample.json")
    assert missing.status_code == 404 and missing.json()["error"]["code"] == "no_sample"


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing/here", 404, "not_found"),
        ("PATCH", "/v1/sessions", 405, "method_not_allowed"),
        ("GET", "/v1/sessions/none", 404, "unknown_session"),
    ],
)
def test_errors_have_one_shape(
    gateway: str, method: str, path: str, status: int, code: str
) -> None:
    response = httpx.request(method, gateway + path)
    assert response.status_code == status
    error = response.json()["error"]
    assert set(error) == {"type", "code", "message", "param"}
    assert (error["type"], error["code"]) == ("invalid_request_error", code)


def test_a_taken_port_says_which_setting_to_change(gateway: str, broker_url: str) -> None:
    port = int(gateway.rpartition(":")[2])
    with pytest.raises(GatewayError, match=rf"port {port}.*--port"):
        run(GatewaySettings(broker_url=broker_url, port=port))


def test_no_broker_says_which_setting_to_change() -> None:
    with pytest.raises(BrokerError, match="--broker-url"):
        run(GatewaySettings(broker_url="unix:///nowhere/broker.sock"))
