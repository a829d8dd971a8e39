"""One answer on its way, in the shapes of the Realtime API."""

import secrets
import time
from typing import Any

from messages.answers import AnswerDone, AnswerStarted
from messages.questions import Ask
from server.observer import Asked


class Response:
    """One answer, from the wish for it to its end. asked: what is noted of it, where it was asked
    for at this gateway."""

    def __init__(self, ask: Ask, asked: Asked | None = None) -> None:
        self.ask = ask
        self.asked = asked
        # Of the response's id, so that every gateway that serves the session calls it the same.
        self.item = f"item_{ask.response.removeprefix('resp_')}"
        self.asked_at = time.monotonic()
        self.text = ""
        self.pieces = 0
        self.sent = False
        """Whether the worker may know of it."""
        self.opened = False
        """Whether clients were told that it is being written."""
        self.started: AnswerStarted | None = None

    @property
    def id(self) -> str:
        return self.ask.response

    def lookback(self) -> dict[str, Any]:
        """What the answer rests on: frames, in seconds of stream time, and earlier turns; each
        is None until the worker has begun."""
        started = self.started
        span = started.span if started else None
        return {
            "span": [span.start, span.end] if span else None,
            "newest_frame_age": span.newest_age if span else None,
            "turns_kept": started.turns_kept if started else None,
            "turns_forgotten": started.turns_forgotten if started else None,
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

    def body(self, status: str, done: AnswerDone | None = None) -> dict[str, Any]:
        """The response as the Realtime API shows it."""
        body: dict[str, Any] = {
            "id": self.id,
            "object": "realtime.response",
            "status": status,
            "status_details": None,
            "output": [self.output(item_status(status))] if self.opened else [],
            "output_modalities": ["text"],
            "max_output_tokens": self.ask.max_tokens,
            "metadata": self.ask.metadata,
            "usage": None,
            "lookback": {"question": self.ask.text, **self.lookback()},
        }
        if status == "failed":
            message = (done and done.message) or "The model could not answer."
            error = {"type": "server_error", "code": "answer_failed", "message": message}
            body["status_details"] = {"type": "failed", "message": message, "error": error}
        elif status not in ("in_progress", "completed"):
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


def item_status(status: str) -> str:
    """An item's status, where its response has this one."""
    return "completed" if status == "completed" else "incomplete"


def new_id(kind: str) -> str:
    """An id that cannot be guessed."""
    return f"{kind}_{secrets.token_urlsafe(16)}"
