"""Every reply has an id that its log lines have, too."""

import json
import logging
from collections.abc import Iterator

import httpx
import pytest
from websockets.asyncio.client import connect

from server.app import create_app
from server.request_ids import HEADER
from server.settings import GatewaySettings
from telemetry.logs import JsonFormatter


class _Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(JsonFormatter("gateway"))
        self.lines: list[dict[str, object]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(json.loads(self.format(record)))


@pytest.fixture
def lines() -> Iterator[list[dict[str, object]]]:
    handler, logger = _Lines(), logging.getLogger("server")
    logger.addHandler(handler)
    before = logger.level
    logger.setLevel(logging.DEBUG)
    yield handler.lines
    logger.removeHandler(handler)
    logger.setLevel(before)


def test_a_plain_id_is_taken_and_others_get_one_of_ours(gateway: str) -> None:
    assert (
        httpx.get(f"{gateway}/health", headers={HEADER: "mine-1.a"}).headers[HEADER] == "mine-1.a"
    )
    first = httpx.get(f"{gateway}/health").headers[HEADER]
    second = httpx.get(f"{gateway}/v1/nowhere").headers[HEADER]
    assert first != second and len(first) == len(second) == 16
    for bad in ("two words", "x" * 65, "a\tb", "lb_0123_secret", "eyJhbGciOi"):
        replied = httpx.get(f"{gateway}/health", headers={HEADER: bad}).headers[HEADER]
        assert replied != bad and len(replied) == 16


def test_lines_have_the_requests_id_and_only_the_beginning_of_the_sessions(
    gateway: str, lines: list[dict[str, object]]
) -> None:
    reply = httpx.post(f"{gateway}/v1/sessions", headers={HEADER: "r-7"})
    session = reply.json()["id"]
    mine = [line for line in lines if line.get("request") == "r-7"]
    assert any(
        line["message"] == f"session {session[:8]} opened, 1 in all"
        and line["session"] == session[:8]
        for line in mine
    )
    assert any(str(line["message"]).startswith("POST /v1/sessions 201") for line in mine)
    assert session not in json.dumps(lines)


async def test_a_websocket_has_one_too(gateway: str) -> None:
    address = f"{gateway.replace('http', 'ws')}/v1/realtime?session=none"
    async with connect(address, additional_headers={HEADER: "socket-1"}) as websocket:
        assert websocket.response is not None
        assert websocket.response.headers[HEADER] == "socket-1"


async def test_a_fault_of_ours_has_one_and_is_counted(
    broker_url: str, lines: list[dict[str, object]]
) -> None:
    app = create_app(GatewaySettings(broker_url=broker_url))

    @app.get("/broken")
    async def broken() -> None:
        raise ZeroDivisionError("secret words")

    app.router.routes.insert(0, app.router.routes.pop())  # before the page

    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http:
        reply = await http.get("/broken", headers={HEADER: "r-500"})
    assert reply.status_code == 500 and reply.headers[HEADER] == "r-500"
    assert "secret" not in reply.text
    [line] = [line for line in lines if line["level"] == "error"]
    assert (line["message"], line["request"]) == ("/broken failed: ZeroDivisionError", "r-500")
    value = app.state.observer.metrics.registry.get_sample_value
    labels = {"method": "GET", "route": "/broken", "status": "500"}
    assert value("lookback_gateway_http_requests_total", labels) == 1


def test_refusals_before_any_route_have_one(gateway: str) -> None:
    reply = httpx.post(f"{gateway}/v1/sessions", headers={"Origin": "https://evil.example"})
    assert reply.status_code == 403 and len(reply.headers[HEADER]) == 16
