"""Heads of requests are limited, and those who never finish one are not waited for."""

import socket
import time
from urllib.parse import urlsplit

import httpx
import pytest

from server import heads
from tests.server.fuzzing import unharmed


def connected(url: str) -> socket.socket:
    return socket.create_connection((urlsplit(url).hostname, urlsplit(url).port), timeout=10)


def answered(url: str, sent: bytes, seconds: float = 10) -> bytes:
    """What is answered before the connection is closed, or nothing more comes for so long."""
    with connected(url) as connection:
        connection.settimeout(seconds)
        answer = b""
        try:
            connection.sendall(sent)
            while more := connection.recv(65536):
                answer += more
        except (ConnectionError, TimeoutError):  # closed before all of it was sent, or read
            pass
    return answer


@pytest.mark.parametrize(
    "sent",
    [
        b"GET /health HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 2**23,
        b"GET /health HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 2**20,
        b"GET /" + b"a" * 2**23,
    ],
    ids=["a header without end", "headers without end", "an address without end"],
)
def test_a_head_without_end_is_refused(gateway: str, sent: bytes) -> None:
    with unharmed(gateway):
        assert not answered(gateway, sent).startswith(b"HTTP/1.1 2")


def test_a_head_of_a_usual_size_and_a_large_body_are_taken(gateway: str) -> None:
    headers = {"X-Long": "a" * 60_000}
    with httpx.Client(base_url=gateway) as client:
        for _ in range(3):  # on one connection
            assert client.get("/health", headers=headers).status_code == 200
            assert client.post("/v1/sessions", content=b" " * 120_000 + b"{}").status_code in (
                201,
                422,
            )


def test_a_head_that_never_ends_is_not_waited_for(
    gateway: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heads, "_HEAD_SECONDS", 0.2)
    with unharmed(gateway):
        for begun in (b"", b"GET /hea", b"GET /health HTTP/1.1\r\nHost: localhost\r\n"):
            began = time.monotonic()
            assert answered(gateway, begun) == b"" and time.monotonic() - began < 5
