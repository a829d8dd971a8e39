"""Chat completions and the list of models, for clients of OpenAI's HTTP API."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Depends, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response, StreamingResponse
from fastapi.routing import APIRoute
from starlette.types import Receive, Scope, Send

from server.access import Caller, allowed
from server.chat import (
    ChatCompletion,
    ChatRequest,
    Model,
    Models,
)
from server.completion import Completion
from server.errors import ClientError, broker_unavailable, invalid_request
from server.events import InputImage, InputText, ItemCreate, ResponseOptions, UserMessage
from server.presence import gone
from server.session import Session
from server.sessions import Sessions
from server.tasks import stop
from server.workers import Workers

COMPLETIONS: Final = "/v1/chat/completions"
_STARTED: Final = int(time.time())
_CLIENT_GONE: Final = 499


class _Route(APIRoute):
    """Requests that do not fit are bad ones (400) to OpenAI's clients."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handled(request: Request) -> Response:
            try:
                return await handle(request)
            except RequestValidationError as error:
                raise invalid_request(error.errors(), status=400) from error

        return handled


router = APIRouter(route_class=_Route)

Asker = Annotated[Caller, Depends(allowed("ask"))]
Anyone = Annotated[Caller, Depends(allowed())]


@router.get("/v1/models")
async def list_models(request: Request, caller: Anyone) -> Models:
    """The models that are loaded. Questions go to sessions: their ids stand in `model`."""
    workers: Workers = request.app.state.workers
    if not workers.reachable:
        raise broker_unavailable("it is away")
    return Models(data=[Model(id=name, created=_STARTED) for name in workers.models])


@router.get("/v1/models/{model:path}")
async def read_model(request: Request, caller: Anyone, model: str) -> Model:
    """A loaded model, or a session by its id."""
    workers: Workers = request.app.state.workers
    if model not in workers.models:
        await _session(request, caller, model)
    return Model(id=model, created=_STARTED)


@router.post(
    COMPLETIONS,
    response_model=ChatCompletion,
    responses={
        200: {
            "description": "The answer, or with `stream` its pieces, each a ChatChunk.",
            "content": {
                "text/event-stream": {"schema": {"$ref": "#/components/schemas/ChatChunk"}}
            },
        }
    },
)
async def complete(request: Request, caller: Asker, wanted: ChatRequest) -> Response:
    """Answers the last message from the memory of the session whose id is `model`."""
    session = await _session(request, caller, wanted.model)
    item = _question(session, wanted.messages[-1], wanted)
    if item.item.pictures:
        caller.require("publish")  # they become a part of what the session has seen
    stay = request.app.state.sessions.settings.idle_seconds
    completion = await Completion.ask(session, item, _options(wanted), stay)
    if wanted.stream:
        usage = wanted.stream_options is not None and wanted.stream_options.include_usage
        return _EventStream(completion, usage)
    answering = asyncio.create_task(completion.whole())
    leaving = asyncio.create_task(gone(request))
    try:
        await asyncio.wait({answering, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not answering.done():
            return Response(status_code=_CLIENT_GONE)  # nobody reads it
        return JSONResponse(answering.result().model_dump())
    finally:
        await stop(answering, leaving)
        completion.close()


async def _session(request: Request, caller: Caller, model: str) -> Session:
    """Raises ClientError (404), and what `Sessions.find` raises."""
    sessions: Sessions = request.app.state.sessions
    try:
        return await sessions.find(model, caller)
    except ClientError as error:
        if error.status != 404:
            raise
        workers: Workers = request.app.state.workers
        if model in workers.models:
            message = (
                f"{model!r} is a model, and questions go to sessions: create one with "
                "POST /v1/sessions, and give its id as model."
            )
        else:
            message = error.message
        raise ClientError("model_not_found", message, param="model", status=404) from error


def _question(session: Session, last: Any, wanted: ChatRequest) -> ItemCreate:
    """The last message. Raises ClientError where it is no question, or where the others say what
    the session cannot take over."""
    said = [m.text for m in wanted.messages if m.role in ("system", "developer")]
    given = "\n".join(text for text in said if text)
    if given and given != session.wanted.instructions:
        raise ClientError(
            "session_fixed",
            "A session's instructions are fixed when it is made: give them to POST /v1/sessions "
            "as `instructions`, and leave system messages out, or repeat them word for word.",
            param="messages",
        )
    if last.role != "user":
        raise ClientError(
            "no_question", "The last message must be the user's question.", param="messages"
        )
    content: list[InputText | InputImage] = [InputImage(url) for url in last.pictures]
    return ItemCreate(UserMessage("user", [*content, InputText(last.text)]))


def _options(wanted: ChatRequest) -> ResponseOptions:
    stop_texts = [wanted.stop] if isinstance(wanted.stop, str) else wanted.stop
    return ResponseOptions(
        max_output_tokens=wanted.max_completion_tokens or wanted.max_tokens,
        temperature=0.0 if wanted.temperature is None else wanted.temperature,
        top_p=1.0 if wanted.top_p is None else wanted.top_p,
        seed=wanted.seed,
        stop=stop_texts,
    )


class _EventStream(StreamingResponse):
    """Pieces as server-sent events; the answer is cancelled when the client goes."""

    media_type = "text/event-stream"

    def __init__(self, completion: Completion, include_usage: bool) -> None:
        headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
        super().__init__(self._lines(completion, include_usage), headers=headers)
        self._completion = completion

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._completion.close()

    @staticmethod
    async def _lines(completion: Completion, include_usage: bool) -> AsyncIterator[str]:
        left_out = set() if include_usage else {"usage"}
        try:
            async for chunk in completion.chunks(include_usage):
                if chunk is None:
                    yield ": waiting\n\n"
                    continue
                leave = left_out if chunk.lookback else {*left_out, "lookback"}
                yield f"data: {chunk.model_dump_json(exclude=leave)}\n\n"
        except ClientError as error:
            yield f"data: {msgspec.json.encode({'error': error.body()}).decode()}\n\n"
        else:
            yield "data: [DONE]\n\n"
