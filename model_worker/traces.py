"""What a worker tells of single frames and answers, where their messages carry a trace."""

from messages.frames import Frame
from model_worker.seat import Reply, shown
from telemetry.tracing import Tracer


class Traces:
    """tracer None: nothing is told. Spans are made when their work is over, so that the work does
    not wait for them."""

    def __init__(self, tracer: Tracer | None = None, worker: str = "", model: str = "") -> None:
        self._tracer = tracer
        self._worker = worker
        self._model = model

    def watched(self, frame: Frame, came_at: float, now: float) -> None:
        """A frame is in memory (times: monotonic seconds)."""
        if self._tracer is None or frame.trace is None:
            return
        about: dict[str, str | int | float] = {
            "lookback.session": shown(frame.session),
            "lookback.frame": frame.number,
            "lookback.worker": self._worker,
        }
        self._tracer.record("watch", frame.trace, came_at, now, about)

    def answered(self, reply: Reply, newest: str | None, now: float) -> None:
        """An answer has ended; newest: the traceparent of the newest frame that was in memory."""
        if self._tracer is None or reply.ask.trace is None:
            return
        answer = reply.answer
        span = self._tracer.begin(
            "answer", reply.ask.trace, at=reply.asked_at, links=[newest] if newest else []
        )
        read = reply.first_token_at or now
        self._tracer.record("queue", span.traceparent, reply.asked_at, reply.started_at)
        self._tracer.record("prefill", span.traceparent, reply.started_at, read)
        if reply.first_token_at is not None:
            self._tracer.record("decode", span.traceparent, read, now)
        span.end(
            {
                "gen_ai.operation.name": "chat",
                "gen_ai.provider.name": "lookback",
                "gen_ai.request.model": self._model,
                "gen_ai.request.max_tokens": reply.ask.max_tokens,
                "gen_ai.usage.input_tokens": answer.prompt_tokens,
                "gen_ai.usage.output_tokens": answer.completion_tokens,
                "gen_ai.server.time_to_first_token": read - reply.asked_at,
                "lookback.session": shown(reply.ask.session),
                "lookback.status": answer.status,
                "lookback.worker": self._worker,
            },
            at=now,
        )
