"""The gateway as an application, and as a process."""

import asyncio
import contextlib
import functools
import logging
import socket
from collections.abc import AsyncIterator
from typing import Any, Final

import uvicorn
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from broker.connection import connect, connect_async
from server.authentication import Authentication, Door
from server.chat_routes import COMPLETIONS
from server.chat_routes import router as chat_router
from server.documents import add_documents
from server.errors import ClientError, invalid_request
from server.guard import Guard
from server.heads import LimitedHttp
from server.hosts import ExposedError, Hosts, check_exposure
from server.ice import IceServers
from server.limits import Limits
from server.metrics import GatewayMetrics
from server.observer import Observer
from server.pages import add_pages
from server.refusal import error_response, turn_away
from server.request_ids import HEADER, RequestIds, identity_of
from server.routes import router
from server.rtp_routes import router as rtp_router
from server.rtsp_routes import router as rtsp_router
from server.sessions import Sessions
from server.settings import GatewaySettings
from server.snapshot_routes import IMPORT
from server.snapshot_routes import router as snapshot_router
from server.status import now
from server.status_routes import METRICS
from server.status_routes import router as status_router
from server.tasks import stop
from server.token_routes import router as token_router
from server.upkeep import Upkeep
from server.whip import router as whip_router
from server.workers import Workers
from telemetry.logs import configure
from telemetry.tracing import tracer

log = logging.getLogger(__name__)

_PING_SECONDS: Final = 5.0
_PONG_SECONDS: Final = 15.0


class GatewayError(RuntimeError):
    """The gateway cannot start; the message says what to change."""


def create_app(settings: GatewaySettings) -> FastAPI:
    """The gateway; it connects to the broker when it starts (BrokerError) and closes every
    session when it stops. Raises GatewayError."""
    limits, measures = Limits(settings), GatewayMetrics(process=True)
    try:
        traces = tracer("gateway", settings.tracing)
        ice = IceServers(settings)
        authentication = Authentication(settings, limits)
    except ValueError as error:
        raise GatewayError(str(error)) from error

    observer = Observer(measures, traces, contents=settings.log_contents)

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        broker = await connect_async(settings.broker_url)
        workers = Workers(broker)
        await workers.look()
        sessions = Sessions(settings, broker, workers, observer)
        app.state.workers, app.state.sessions = workers, sessions
        measures.watch(lambda: now(sessions, workers))
        upkeep = Upkeep(sessions, broker, authentication.holds)
        tasks = [asyncio.create_task(workers.run()), asyncio.create_task(upkeep.run())]
        try:
            yield
        finally:
            await stop(*tasks)
            await sessions.leave_all()
            await broker.aclose()
            if traces is not None:
                await asyncio.to_thread(traces.close)

    app = FastAPI(
        title="Lookback",
        lifespan=lifespan,
        openapi_url=None,
        generate_unique_id_function=lambda route: route.name,
    )
    app.state.ice = ice
    app.state.authentication, app.state.limits = authentication, limits
    app.state.observer, app.state.metrics = observer, settings.metrics
    # A memory; a conversation, and pictures.
    large = {IMPORT: settings.import_bytes, COMPLETIONS: settings.message_bytes}
    # The last one that is added stands in front.
    guarded = (METRICS,) if settings.metrics == "keys" else ()
    app.add_middleware(Door, authentication=authentication, limits=limits, guarded=guarded)
    hosts = None if authentication.on else Hosts(settings.host, settings.allowed_hosts)
    app.add_middleware(Guard, allowed_origins=settings.allowed_origins, large=large, hosts=hosts)
    if settings.trusted_proxies:
        app.add_middleware(ProxyHeadersMiddleware, trusted_hosts=[*settings.trusted_proxies])
    app.add_middleware(RequestIds, metrics=measures)
    app.add_exception_handler(ClientError, _client_error)
    app.add_exception_handler(RequestValidationError, _invalid_request)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Exception, _our_fault)
    app.include_router(router)
    app.include_router(status_router)
    app.include_router(snapshot_router)
    app.include_router(chat_router)
    app.include_router(whip_router)
    app.include_router(token_router)
    app.include_router(rtp_router)
    app.include_router(rtsp_router)
    add_documents(app)
    add_pages(app, settings)
    return app


def run(settings: GatewaySettings) -> None:
    """Serves until SIGTERM or SIGINT. Raises GatewayError and BrokerError."""
    configure("gateway", settings.log_level, settings.log_format)
    # websockets' own log has the headers of every handshake, and so what stands in them.
    for noisy in ("aioice", "aiortc", "uvicorn", "websockets"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    if (settings.ssl_certfile is None) != (settings.ssl_keyfile is None):
        raise GatewayError(
            "HTTPS needs both files: set LOOKBACK_SSL_CERTFILE and LOOKBACK_SSL_KEYFILE."
        )
    try:
        check_exposure(settings)
    except ExposedError as error:
        raise GatewayError(str(error)) from error
    app = create_app(settings)
    connect(settings.broker_url).close()  # so that a wrong address is one line and no traceback
    with _listening(settings) as listener:
        scheme = "https" if settings.ssl_certfile else "http"
        log.info("listening on %s://%s:%d", scheme, settings.host, listener.getsockname()[1])
        uvicorn.Server(served(app, settings)).run(sockets=[listener])


def served(app: FastAPI, settings: GatewaySettings) -> uvicorn.Config:
    """How the application meets the network."""
    return uvicorn.Config(
        app,
        http=LimitedHttp,
        # Its access lines hold session ids, which open sessions: they stay out of logs.
        log_level="warning",
        log_config=None,  # its lines are of our form
        access_log=False,
        proxy_headers=False,  # anybody can send them; LOOKBACK_TRUSTED_PROXIES says who may
        ssl_certfile=settings.ssl_certfile,
        ssl_keyfile=settings.ssl_keyfile,
        ws_max_size=2 * settings.message_bytes,  # above one it gets an error, above two the door
        ws_ping_interval=_PING_SECONDS,
        ws_ping_timeout=_PONG_SECONDS,
        timeout_graceful_shutdown=3,
    )


def _listening(settings: GatewaySettings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        return socket.create_server((settings.host, settings.port), family=family, backlog=2048)
    except OSError as error:
        raise GatewayError(
            f"Cannot listen on {settings.host} port {settings.port} ({error.strerror or error}): "
            "choose others with --host and --port (LOOKBACK_HOST, LOOKBACK_PORT)."
        ) from error


async def _client_error(connection: HTTPConnection, error: Exception) -> Any:
    assert isinstance(error, ClientError)
    return functools.partial(turn_away, error)


async def _invalid_request(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    return error_response(invalid_request(error.errors()))


async def _http_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "http_error")
    message = f"{request.method} {request.url.path}: {error.detail}."
    response = error_response(ClientError(code, message, status=error.status_code))
    response.headers.update(error.headers or {})
    return response


async def _our_fault(request: Request, error: Exception) -> JSONResponse:
    """Starlette logs the traceback; the client learns only that it is not to blame."""
    body = {
        "type": "server_error",
        "code": "internal_error",
        "message": "Something went wrong in the gateway; its log says what.",
        "param": None,
    }
    # It is answered outside all middleware.
    headers = {HEADER: identity_of(request.scope)}
    return JSONResponse({"error": body}, 500, headers)
