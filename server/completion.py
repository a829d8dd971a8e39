"""One chat completion: a question to a session, and its answer whole or in pieces.

Knows nothing about HTTP.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any, Final, Literal

from server.broadcast import Event
from server.chat import Answer, ChatChunk, ChatCompletion, Choice, ChunkChoice, Delta, Usage
from server.errors import ServiceError
from server.events import ItemCreate, ResponseCreate, ResponseOptions
from server.session import Session
from server.tasks import stop

_SIGN_OF_LIFE_SECONDS: Final = 10.0


class Completion:
    """One question to a session and its answer, heard as its websockets hear them."""

    def __init__(self, session: Session, stay_seconds: float) -> None:
        self._session = session
        self._response = ""
        self._ended = False
        self._closing = contextlib.ExitStack()
        self._closing.enter_context(session.attendance.attended(stay_seconds))
        self._subscription = session.listen()
        self._closing.callback(session.leave, self._subscription)

    @classmethod
    async def ask(
        cls, session: Session, item: ItemCreate, options: ResponseOptions, stay_seconds: float
    ) -> "Completion":
        """Asks. Raises ClientError. stay_seconds: how long the session outlives its answer."""
        made = cls(session, stay_seconds)
        try:
            session.admit_question()  # before anybody is told of it
            await session.hear(made._subscription, item)
            response = await session.hear(made._subscription, ResponseCreate(options))
        except BaseException:
            made._ended = True
            made.close()
            raise
        assert response is not None
        # Many may wait for one session: what is written for one need not wake all the others.
        made._response = made._subscription.only = response
        return made

    def close(self) -> None:
        """The asker has gone, or has it all; calling it twice does no harm."""
        if not self._ended:
            self._ended = True
            self._session.cancel(self._response)
        self._closing.close()

    async def events(self) -> AsyncIterator[Event | None]:
        """What is told of this response, to its end; None is a sign of life. Raises ServiceError
        where it fails."""
        told = aiter(self._subscription)
        following = asyncio.ensure_future(anext(told))
        quiet_since = time.monotonic()
        try:
            while True:
                # Others' answers may be written all the while.
                left = quiet_since + _SIGN_OF_LIFE_SECONDS - time.monotonic()
                if left <= 0:
                    yield None
                    quiet_since = time.monotonic()
                    continue
                await asyncio.wait({following}, timeout=left)
                if not following.done():
                    continue
                event = following.result()
                response = event.get("response", {})
                if self._response in (event.get("response_id"), response.get("id")):
                    if event["type"] == "response.done":
                        self._ended = True
                        if response["status"] == "failed":
                            raise _failed(response["status_details"]["message"])
                        yield event
                        return
                    yield event
                    quiet_since = time.monotonic()
                following = asyncio.ensure_future(anext(told))
        except StopAsyncIteration:
            raise _failed("The answer was read too slowly, or the session was closed.") from None
        finally:
            await stop(following)

    async def whole(self) -> ChatCompletion:
        """The whole answer. Raises ServiceError where it fails."""
        async for event in self.events():
            if event is not None and event["type"] == "response.done":
                response = event["response"]
                text = "".join(part["text"] for o in response["output"] for part in o["content"])
                choice = Choice(message=Answer(content=text), finish_reason=_reason(response))
                return ChatCompletion(
                    **self._head(),
                    choices=[choice],
                    usage=_usage(response),
                    lookback=_lookback(response),
                )
        raise AssertionError("events end with response.done or an error")

    async def chunks(self, include_usage: bool) -> AsyncIterator[ChatChunk | None]:
        """The answer in pieces, as it is written; None is a sign of life. Raises ServiceError
        where it fails."""
        head = self._head()
        async for event in self.events():
            if event is None:
                yield None
            elif event["type"] == "lookback.response.started":
                begun = ChunkChoice(delta=Delta(role="assistant", content=""))
                lookback = {"response_id": self._response, **event["lookback"]}
                yield ChatChunk(**head, choices=[begun], lookback=lookback)
            elif event["type"] == "response.output_text.delta":
                piece = ChunkChoice(delta=Delta(content=event["delta"]))
                yield ChatChunk(**head, choices=[piece])
            elif event["type"] == "response.done":
                response = event["response"]
                last = ChunkChoice(delta=Delta(), finish_reason=_reason(response))
                yield ChatChunk(**head, choices=[last], lookback=_lookback(response))
                if include_usage:
                    yield ChatChunk(**head, choices=[], usage=_usage(response))

    def _head(self) -> dict[str, Any]:
        return {
            "id": f"chatcmpl-{self._response.removeprefix('resp_')}",
            "created": int(time.time()),
            "model": self._session.opened.model,
        }


def _failed(message: str) -> ServiceError:
    return ServiceError("answer_failed", message, status=503, retry_after=1.0)


def _reason(response: dict[str, Any]) -> Literal["stop", "length"]:
    return "length" if response["status"] == "incomplete" else "stop"


def _lookback(response: dict[str, Any]) -> dict[str, Any]:
    return {
        "response_id": response["id"],
        "status": response["status"],
        **response["lookback"],
    }


def _usage(response: dict[str, Any]) -> Usage:
    counted = response["usage"] or {}
    prompt, completion = counted.get("input_tokens", 0), counted.get("output_tokens", 0)
    return Usage(
        prompt_tokens=prompt, completion_tokens=completion, total_tokens=prompt + completion
    )
