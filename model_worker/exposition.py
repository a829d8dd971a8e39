"""A worker's `/metrics`, `/health` and `/ready` by HTTP, for Prometheus and for probes.

Knows nothing of the model; each scrape is answered on a thread of its own.
"""

import logging
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import AF_INET, AF_INET6
from typing import Final
from urllib.parse import urlsplit

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

log = logging.getLogger(__name__)

_REQUEST_SECONDS: Final = 5.0
"""A client that says nothing for so long is hung up on."""
_TEXT: Final = "text/plain; charset=utf-8"

Trouble = Callable[[], str | None]


class ExpositionError(ValueError):
    """The port cannot be had; the message says what to change."""


class Exposition:
    """Serves from its making on. health, ready: what is wrong, None for nothing; `registry` may be
    given later."""

    def __init__(self, host: str, port: int) -> None:
        """port 0 takes a free one. Raises ExpositionError."""
        self.registry: CollectorRegistry | None = None
        self.health: Trouble = lambda: None
        self.ready: Trouble = lambda: "the model is being loaded"
        try:
            self._server = _server(self, host, port)
        except OSError as error:
            raise ExpositionError(
                f"{host} port {port} cannot be had for metrics ({error.strerror or error}): choose "
                "others with LOOKBACK_METRICS_HOST and LOOKBACK_METRICS_PORT"
            ) from error
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.2,), name="exposition", daemon=True
        )
        self._thread.start()
        log.info("metrics at http://%s:%d/metrics", host, self.port)

    def close(self) -> None:
        """Answers no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def reply(self, path: str, accept: str) -> tuple[int, str, bytes]:
        """Status, content type and body."""
        match urlsplit(path).path:
            case "/metrics":
                if self.registry is None:
                    return 503, _TEXT, b"the model is being loaded\n"
                encode, kind = choose_encoder(accept)
                return 200, kind, encode(self.registry)
            case "/health":
                return _judged(self.health())
            case "/ready":
                return _judged(self.ready())
        return 404, _TEXT, b"there are /metrics, /health and /ready\n"


def _judged(trouble: str | None) -> tuple[int, str, bytes]:
    return (503, _TEXT, f"{trouble}\n".encode()) if trouble else (200, _TEXT, b"ok\n")


def _server(exposition: Exposition, host: str, port: int) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        timeout = _REQUEST_SECONDS
        server_version, sys_version = "lookback", ""

        def do_GET(self) -> None:
            status, kind, body = exposition.reply(self.path, self.headers.get("Accept", ""))
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_HEAD = do_GET

        def log_message(self, format: str, *arguments: object) -> None:
            log.debug(format, *arguments)

    class Server(ThreadingHTTPServer):
        address_family = AF_INET6 if ":" in host else AF_INET
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            log.warning("a scrape was not answered", exc_info=True)

    return Server((host, port), Handler)
