"""Questions and answers of one session, as Realtime events; one answer at a time, few waiting.

Knows nothing about websockets or the broker: it is given two functions that reach them.
"""

import secrets
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from messages.answers import AnswerDelta, AnswerDone, AnswerStarted, Span
from messages.questions import Ask, Cancel
from server.broadcast import Event
from server.errors import ClientError, ServiceError
from server.events import ItemCreate, ResponseCancel, ResponseCreate
from server.settings import GatewaySettings


class Response:
    """One answer, from the wish for it to its end."""

    def __init__(self, ask: Ask) -> None:
        self.ask = ask
        self.item = _new_id("item")
        self.text = ""
        self.opened = False
        self.span: Span | None = None

    @property
    def id(self) -> str:
        return self.ask.response

    def lookback(self) -> dict[str, Any]:
        """What the answer rests on, in seconds of stream time."""
        if self.span is None:
            return {"span": None, "newest_frame_age": None}
        return {
            "span": [self.span.start, self.span.end],
            "newest_frame_age": self.span.newest_age,
        }

    def output(self, status: str) -> dict[str, Any]:
        """The answer as an item of the conversation."""
        return {
            "id": self.item,
            "object": "realtime.item",
            "type": "message",
            "status": status,
            "role": "assistant",
            "content": [] if status == "in_progress" else [self.part()],
        }

    def part(self) -> dict[str, Any]:
        return {"type": "output_text", "text": self.text}

    def place(self) -> dict[str, Any]:
        """Where a piece of text belongs."""
        return {
            "response_id": self.id,
            "item_id": self.item,
            "output_index": 0,
            "content_index": 0,
        }


class Conversation:
    """publish: tells the clients. send: reaches the worker."""

    def __init__(
        self,
        session: str,
        settings: GatewaySettings,
        publish: Callable[[Event], None],
        send: Callable[[Ask | Cancel], Awaitable[None]],
    ) -> None:
        self._session = session
        self._settings = settings
        self._publish = publish
        self._send = send
        self._asked: list[str] = []
        self._queue: deque[Response] = deque()
        self._running: Response | None = None

    @property
    def running(self) -> str | None:
        """The id of the response being written."""
        return self._running.id if self._running else None

    @property
    def queued(self) -> int:
        return len(self._queue)

    def add(self, event: ItemCreate) -> None:
        """Takes a question. Raises ClientError where it is empty or too long."""
        text = "\n".join(part.text for part in event.item.content).strip()
        limit = self._settings.question_characters
        if not text:
            raise ClientError("empty_question", "The question is empty.", param="item.content")
        length = len("\n".join([*self._asked, text]))
        if length > limit:
            raise ClientError(
                "question_too_long",
                f"The question has {length} characters; ask in at most {limit}.",
                param="item.content",
            )
        self._asked.append(text)
        item = {
            "id": _new_id("item"),
            "object": "realtime.item",
            "type": "message",
            "status": "completed",
            "role": "user",
            "content": [{"type": "input_text", "text": text}],
        }
        self._publish({"type": "conversation.item.added", "item": item})
        self._publish({"type": "conversation.item.done", "item": item})

    async def respond(self, event: ResponseCreate, *, seen: bool) -> None:
        """Answers what was asked, now or when its turn comes.

        seen: whether a frame was handed to the worker. Raises ClientError where nothing was
        asked, nothing was seen, or too many questions wait.
        """
        text, self._asked = "\n".join(self._asked), []
        if not text:
            raise ClientError(
                "no_question",
                "Nothing was asked: send a conversation.item.create before response.create.",
            )
        if not seen:
            raise ClientError(
                "no_frames_yet",
                "No picture has arrived yet: start the camera, and ask again once it is seen.",
            )
        if self._running and len(self._queue) >= self._settings.queued_questions:
            raise ClientError(
                "too_many_questions",
                f"{len(self._queue)} questions wait already: ask again after an answer.",
                status=429,
            )
        options = event.response
        wanted = options.max_output_tokens
        longest = self._settings.longest_answer_tokens
        tokens = self._settings.answer_tokens if wanted is None else wanted
        response = Response(
            Ask(
                session=self._session,
                response=_new_id("resp"),
                text=text,
                max_tokens=longest if tokens == "inf" else min(tokens, longest),
                temperature=options.temperature,
                top_p=options.top_p,
                seed=options.seed,
            )
        )
        created = _body(response, "in_progress")
        created["lookback"]["queue_position"] = len(self._queue) + 1 if self._running else 0
        self._publish({"type": "response.created", "response": created})
        self._queue.append(response)
        await self._next()

    async def cancel(self, event: ResponseCancel) -> None:
        """Stops a response: at once where it waits, within a token where it is being written."""
        wanted = event.response_id or self.running
        if wanted is None:
            raise ClientError("response_cancel_not_active", "No response is being written.")
        if wanted == self.running:
            await self._send(Cancel(self._session, wanted))
            return
        for response in self._queue:
            if response.id == wanted:
                self._queue.remove(response)
                self._finish(response, "cancelled")
                return
        raise ClientError(
            "response_cancel_not_active",
            "That response has ended, or there was none with this id.",
            param="response_id",
        )

    def started(self, message: AnswerStarted) -> None:
        """The worker has read the question and is about to write."""
        response = self._running
        if response is None or response.id != message.response:
            return
        response.span = message.span
        self._open(response)

    def delta(self, message: AnswerDelta) -> None:
        """The worker has written a piece."""
        response = self._running
        if response is None or response.id != message.response:
            return
        self._open(response)
        response.text += message.text
        self._publish(
            {"type": "response.output_text.delta", **response.place(), "delta": message.text}
        )

    async def done(self, message: AnswerDone) -> None:
        """The worker has ended an answer; the next question is sent to it."""
        response = self._running
        if response is None or response.id != message.response:
            return
        response.text = message.text or response.text
        self._running = None
        self._finish(response, message.status, message)
        await self._next()

    def fail(self, message: str) -> None:
        """Ends all that runs or waits: the session is going."""
        unfinished = [*([self._running] if self._running else []), *self._queue]
        self._running = None
        self._queue.clear()
        for response in unfinished:
            done = AnswerDone(self._session, response.id, "failed", message=message)
            self._finish(response, "failed", done)

    async def _next(self) -> None:
        """Sends the question whose turn it is; one that cannot be sent has failed."""
        while self._running is None and self._queue:
            response = self._running = self._queue.popleft()
            try:
                await self._send(response.ask)
            except ServiceError as error:
                self._running = None
                done = AnswerDone(self._session, response.id, "failed", message=error.message)
                self._finish(response, "failed", done)

    def _open(self, response: Response) -> None:
        if response.opened:
            return
        response.opened = True
        self._publish(
            {
                "type": "lookback.response.started",
                "response_id": response.id,
                "lookback": response.lookback(),
            }
        )
        where = {"response_id": response.id, "output_index": 0}
        item = response.output("in_progress")
        self._publish({"type": "response.output_item.added", **where, "item": item})
        part = {"type": "output_text", "text": ""}
        self._publish({"type": "response.content_part.added", **response.place(), "part": part})

    def _finish(self, response: Response, status: str, done: AnswerDone | None = None) -> None:
        if status == "completed":
            self._open(response)
        if response.opened:
            place, part = response.place(), response.part()
            text = {"type": "response.output_text.done", **place, "text": response.text}
            self._publish(text)
            self._publish({"type": "response.content_part.done", **place, "part": part})
            self._publish(
                {
                    "type": "response.output_item.done",
                    "response_id": response.id,
                    "output_index": 0,
                    "item": response.output(_item_status(status)),
                }
            )
        self._publish({"type": "response.done", "response": _body(response, status, done)})


def _item_status(status: str) -> str:
    return "completed" if status == "completed" else "incomplete"


def _body(response: Response, status: str, done: AnswerDone | None = None) -> dict[str, Any]:
    """A response as the Realtime API shows it."""
    body: dict[str, Any] = {
        "id": response.id,
        "object": "realtime.response",
        "status": status,
        "status_details": None,
        "output": [response.output(_item_status(status))] if response.opened else [],
        "output_modalities": ["text"],
        "usage": None,
        "lookback": response.lookback(),
    }
    if status == "in_progress":
        body["output"] = []
    elif status == "failed":
        message = (done and done.message) or "The model could not answer."
        error = {"type": "server_error", "code": "answer_failed", "message": message}
        body["status_details"] = {"type": "failed", "message": message, "error": error}
    elif status != "completed":
        reason = "max_output_tokens" if status == "incomplete" else "client_cancelled"
        body["status_details"] = {"type": status, "reason": reason}
    if done is not None:
        body["usage"] = {
            "input_tokens": done.prompt_tokens,
            "output_tokens": done.completion_tokens,
            "total_tokens": done.prompt_tokens + done.completion_tokens,
        }
        body["lookback"]["ttft_seconds"] = done.ttft_seconds or None
        body["lookback"]["queue_seconds"] = done.queue_seconds
    return body


def _new_id(kind: str) -> str:
    return f"{kind}_{secrets.token_urlsafe(16)}"
