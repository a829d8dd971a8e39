"""What is refused at once, and with which words."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest


def post(url: str, session: str, body: Any) -> tuple[int, str, str]:
    reply = httpx.post(f"{url}/v1/sessions/{session}/rtsp", json=body)
    error = reply.json()["error"]
    return reply.status_code, error["code"], error["message"]


def test_it_is_off_by_default(gateway: str, tools: Any) -> None:
    body = {"url": "rtsp://u:p@192.168.1.20:8554/live"}
    status, code, message = post(gateway, tools.new_session(gateway), body)
    assert (status, code) == (403, "rtsp_off")
    assert "LOOKBACK_RTSP_HOSTS" in message and "'192.168.1.20:8554'" in message


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"url": "rtsp://10.0.0.2/live"}, 403, "host_not_allowed"),
        ({"url": "rtsp://10.0.0.1:555/live"}, 403, "host_not_allowed"),
        ({"url": "rtsp://a@10.0.0.1@10.0.0.2/live"}, 403, "host_not_allowed"),
        ({"url": "http://10.0.0.1/live"}, 422, "invalid_url"),
        ({"url": "rtsp://0xa000001/live"}, 422, "invalid_url"),
        ({"url": ""}, 422, "invalid_url"),
        ({"url": 7}, 422, "invalid_request"),
        ({}, 422, "invalid_request"),
        ({"url": "rtsp://10.0.0.1/", "transport": "udp"}, 422, "invalid_request"),
        ({"url": "rtsp://10.0.0.1/", "options": "x"}, 422, "invalid_request"),
    ],
)
def test_what_is_refused(
    serve: Callable[..., str], tools: Any, body: Any, status: int, code: str
) -> None:
    url = serve(rtsp_hosts="10.0.0.1")
    session = tools.new_session(url)
    assert post(url, session, body)[:2] == (status, code)
    camera = httpx.get(f"{url}/v1/sessions/{session}").json()["camera"]
    assert camera["state"] == "none", "what is refused changes nothing"


def test_what_is_not_there(gateway: str, tools: Any) -> None:
    body = {"url": "rtsp://10.0.0.1/"}
    assert post(gateway, "none", body)[:2] == (404, "unknown_session")
    session = tools.new_session(gateway)
    for method in ("GET", "DELETE"):
        reply = httpx.request(method, f"{gateway}/v1/sessions/{session}/rtsp/x")
        assert (reply.status_code, reply.json()["error"]["code"]) == (404, "unknown_camera")


def test_no_more_cameras_than_may_be(serve: Callable[..., str], tools: Any) -> None:
    url = serve(rtsp_hosts="127.0.0.1:*", most_cameras=1)
    body = {"url": "rtsp://127.0.0.1:1/"}
    first, second = (tools.new_session(url) for _ in range(2))
    assert httpx.post(f"{url}/v1/sessions/{first}/rtsp", json=body).status_code == 201
    assert post(url, second, body)[:2] == (503, "too_many_cameras")
