"""An answer on its way back, as it is written."""

from typing import Literal

import msgspec


class Span(msgspec.Struct, frozen=True):
    """What an answer rests on: stream time in seconds, and the newest frame's age when asked."""

    start: float
    end: float
    newest_age: float


class AnswerStarted(msgspec.Struct, frozen=True, tag="answer.started"):
    """The question is prefilled; `span` is None where no frame was seen yet.

    Of the conversation's earlier turns the answer sees the latest `turns_kept`; the oldest
    `turns_forgotten` are no longer seen, for want of room.
    """

    session: str
    response: str
    span: Span | None
    turns_kept: int = 0
    turns_forgotten: int = 0


class AnswerDelta(msgspec.Struct, frozen=True, tag="answer.delta"):
    """The next piece of text; `index` counts the pieces of this answer from 0."""

    session: str
    response: str
    index: int
    text: str


class AnswerDone(msgspec.Struct, frozen=True, tag="answer.done"):
    """The end of an answer. `incomplete`: it reached max_tokens. `message` explains a failure."""

    session: str
    response: str
    status: Literal["completed", "cancelled", "incomplete", "failed"]
    text: str = ""
    message: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    queue_seconds: float = 0.0
    ttft_seconds: float = 0.0
