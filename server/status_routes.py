"""What probes, Prometheus and operators ask a gateway for."""

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response
from prometheus_client.exposition import choose_encoder

from server.access import Caller, allowed
from server.errors import ClientError, broker_unavailable, no_worker, workers_stop
from server.replies import Alive, Ready, Status, replying
from server.sessions import Sessions
from server.status import status
from server.workers import Workers

METRICS = "/metrics"

router = APIRouter()

Observing = Annotated[Caller, Depends(allowed("observe"))]


@router.get("/health", responses=replying(Alive, "This process lives"), response_model=None)
async def health() -> dict[str, str]:
    """This process lives."""
    return {"status": "ok"}


@router.get("/ready", responses=replying(Ready, "A session can be opened"), response_model=None)
async def ready(request: Request) -> dict[str, Any]:
    """A session can be opened, or waits its turn: a worker lives that is not about to stop."""
    workers: Workers = request.app.state.workers
    if workers.card is None:
        raise (
            no_worker(workers.strangers) if workers.reachable else broker_unavailable("it is away")
        )
    if not workers.taking:
        raise workers_stop()
    sessions: Sessions = request.app.state.sessions
    fps = sessions.settings.fps
    return {"worker": msgspec.to_builtins(workers.card), "sampled_per_second": fps}


@router.get("/v1/status", responses=replying(Status, "The service, now"), response_model=None)
async def read_status(request: Request, caller: Observing) -> dict[str, Any]:
    """Workers, queue, and this gateway's sessions by the beginnings of their ids."""
    state = request.app.state
    return status(state.sessions, state.workers, state.observer)


@router.get(
    METRICS,
    response_class=Response,
    responses={200: {"description": "For Prometheus", "content": {"text/plain": {}}}},
)
async def metrics(request: Request) -> Response:
    """This gateway's counts and times, for Prometheus; workers have their own."""
    state = request.app.state
    if state.metrics == "off":
        raise ClientError("not_found", "LOOKBACK_METRICS=off: none are told.", status=404)
    if state.metrics == "keys":
        await allowed("observe")(request)
    encode, kind = choose_encoder(request.headers.get("accept", ""))
    return Response(encode(state.observer.metrics.registry), media_type=kind)
