"""Heads of HTTP requests and of websockets' handshakes, broken in every way."""

from hypothesis import given
from hypothesis import strategies as st

from tests.server.fuzzing import campaign, unharmed
from tests.server.mutations import damaged, lines
from tests.server.test_heads import answered

_HEADS = [
    "GET /health HTTP/1.1\r\nHost: {host}\r\nAccept: */*\r\nConnection: close\r\n\r\n",
    "POST /v1/sessions HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
    "Content-Length: 2\r\nOrigin: http://{host}\r\nConnection: close\r\n\r\n{{",
    "OPTIONS /whip/x HTTP/1.1\r\nHost: {host}\r\nOrigin: http://{host}\r\n"
    "Access-Control-Request-Method: POST\r\nConnection: close\r\n\r\n",
    "GET /v1/realtime?session=x HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\n"
    "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: realtime\r\n\r\n",
]
_PIECES = [
    "Host: [::1", "Host: x:99999", "Host:", "Origin: http://[::1", "Origin: null", "Origin: //",
    "Origin: http://x:99999", "Content-Length: -2", "Content-Length: 99999999999999999999999",
    "Content-Length: 0", "Transfer-Encoding: chunked", "Transfer-Encoding: gzip, chunked", "zz",
    "Expect: 100-continue", "Connection: Upgrade", "Upgrade: h2c", "Upgrade: websocket",
    "Sec-WebSocket-Version: 12", "Sec-WebSocket-Key: x", "Sec-WebSocket-Protocol: , ,,",
    "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=99", "If-Match: \xff",
    "Authorization: Bearer", "Authorization: Bearer \xff", "Authorization: Basic eA==", "X: \x00",
    "Content-Type: application/json; charset=\xff", "Cookie: a=b", "GET /%ff%00 HTTP/1.1",
    "GET http://[/health HTTP/1.1", "OPTIONS * HTTP/1.1", "CONNECT x:1 HTTP/1.1", "GET / HTTP/9.9",
    "PRI * HTTP/2.0",
    "GET /v1/models/%ED%A0%80?after=%ff HTTP/1.1", "DELETE /whip/%2e%2e/x HTTP/1.0",
    "GET /v1/realtime?session=%ff&model=%00&after=\xff HTTP/1.1", "X-Forwarded-For: \xff",
]  # fmt: skip


def test_no_head_does_any_harm(gateway: str) -> None:
    texts = [head.format(host=gateway.removeprefix("http://")) for head in _HEADS]
    heads = lines(texts, _PIECES).map(lambda head: (head + "\r\n").encode("latin-1", "replace"))
    broken = damaged([text.encode() for text in texts]) | st.binary(max_size=99)
    statuses = set()
    with unharmed(gateway):

        @campaign(200)
        @given(heads | broken)
        def send(head: bytes) -> None:
            status = answered(gateway, head, seconds=0.05)[9:12]
            statuses.add(status)
            assert not status.startswith(b"5"), status

        send()
    assert {b"200", b"400"} <= statuses, "the mutations are too strong, or too weak"
