"""What one gateway notes of frames and answers on their way: counts, times, traces, log lines.

Knows what happened, and nothing of how. Questions and answers are logged only where the settings
say so; pictures never are.
"""

import contextlib
import logging
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from messages.answers import AnswerDone
from messages.questions import Ask
from server.errors import ClientError
from server.metrics import GatewayMetrics
from telemetry.logs import about, short
from telemetry.tracing import Span, Tracer, incoming

log = logging.getLogger(__name__)

_RECENT: Final = 256


@dataclass
class Asked:
    """An answer on its way. Times are monotonic seconds; trace: what the worker goes on with."""

    ask: Ask
    at: float
    span: Span | None
    first_at: float | None = None

    @property
    def trace(self) -> str | None:
        return None if self.span is None else self.span.traceparent


class Observer:
    """tracer None: no traces. contents: questions and answers are logged word by word."""

    def __init__(
        self,
        metrics: GatewayMetrics | None = None,
        tracer: Tracer | None = None,
        *,
        contents: bool = False,
    ) -> None:
        self.metrics = metrics or GatewayMetrics()
        self._tracer = tracer
        self._contents = contents
        self.first_text: deque[float] = deque(maxlen=_RECENT)
        """Times to first text of the latest answers, in seconds, the latest last."""

    @contextlib.contextmanager
    def opening(self) -> Iterator[None]:
        """While somebody is given a session, or refused one."""
        try:
            yield
        except ClientError as error:
            self.metrics.refused(error.code)
            raise

    def moved(self, *, restored: bool) -> None:
        """Another worker has gone on with a session."""
        self.metrics.moved["restored" if restored else "lost"].inc()

    # Frames.

    def sampled(self, session: str) -> Span | None:
        """A frame's time has come; its span goes on until the worker is sent it."""
        self.metrics.frames["sampled"].inc()
        if self._tracer is None:
            return None
        return self._tracer.begin("frame", None, {"lookback.session": short(session)})

    def dropped(self, cause: str, span: Span | None) -> None:
        """It is lost."""
        self.metrics.drops[cause].inc()
        if span is not None:
            span.end({"lookback.fate": "dropped", "lookback.cause": cause})

    def skipped(self, span: Span | None) -> None:
        """It shows nothing new."""
        self.metrics.frames["skipped"].inc()
        if span is not None:
            span.end({"lookback.fate": "skipped"})

    def sent(self, number: int, span: Span | None) -> None:
        """The worker may take it."""
        self.metrics.frames["sent"].inc()
        if span is not None:
            span.end({"lookback.fate": "sent", "lookback.frame": number})

    # Answers.

    def asked(self, ask: Ask) -> Asked:
        """An answer is wanted."""
        span = None
        if self._tracer is not None:
            told = {
                "lookback.session": short(ask.session),
                "lookback.response": short(ask.response),
            }
            span = self._tracer.begin("question", incoming.get(), told)
        return Asked(ask, time.monotonic(), span)

    def first(self, asked: Asked) -> None:
        """Text of it has come."""
        if asked.first_at is not None:
            return
        asked.first_at = time.monotonic()
        self.metrics.time_to_first_token.observe(asked.first_at - asked.at)
        self.first_text.append(asked.first_at - asked.at)
        if asked.span is not None:
            asked.span.event("first_token")

    def ended(self, asked: Asked, status: str, text: str, done: AnswerDone | None) -> None:
        """It is over."""
        seconds = time.monotonic() - asked.at
        first = None if asked.first_at is None else asked.first_at - asked.at
        self.metrics.requests[status].inc()
        self.metrics.request_time.observe(seconds)
        message = done.message if done is not None else ""
        if asked.span is not None:
            failed = (message or "it failed") if status == "failed" else None
            asked.span.end({"lookback.status": status}, error=failed)
        details: dict[str, object] = {
            "response": short(asked.ask.response),
            "status": status,
            "seconds": round(seconds, 3),
            "first_token_seconds": None if first is None else round(first, 3),
            "prompt_tokens": done.prompt_tokens if done is not None else 0,
            "completion_tokens": done.completion_tokens if done is not None else 0,
        }
        said = ""
        if self._contents:
            details |= {"question": asked.ask.text, "answer": text}
            said = f": {asked.ask.text!r} was answered {text!r}"
        with about(session=short(asked.ask.session)):
            name = details["response"]
            log.info("answer %s %s in %.2f s%s", name, status, seconds, said, extra=details)
