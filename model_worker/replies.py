"""What clients hear of answers: their beginning, their pieces, their end."""

import time
from collections.abc import Callable

from messages.answers import AnswerDelta, AnswerDone, AnswerStarted, Span
from messages.codec import ToGateway
from model_worker.decoding import Sampling
from model_worker.metrics import WorkerMetrics
from model_worker.scheduler import Stage
from model_worker.seat import Reply, Seat
from model_worker.traces import Traces


class Replies:
    """Turns questions into answers in progress, and their progress into messages."""

    def __init__(
        self, emit: Callable[[ToGateway], None], metrics: WorkerMetrics, traces: Traces
    ) -> None:
        self._emit = emit
        self._metrics = metrics
        self._traces = traces

    def begin(self, seat: Seat) -> Reply | None:
        """Start the oldest waiting question; None where it is refused."""
        waiting = seat.lane.questions[0]
        ask = waiting.what
        asked = seat.times.pop(ask.response, None) or seat.now()
        try:
            sampling = Sampling(ask.max_tokens, ask.temperature, ask.top_p, ask.seed, ask.stop)
            answer = seat.memory.ask(ask.text, sampling, asked.moment)
        except ValueError as error:  # QuestionError, or a sampling that cannot be
            seat.lane.questions.popleft()
            self._emit(AnswerDone(ask.session, ask.response, "failed", message=str(error)))
            return None
        seat.lane.take_question()
        if asked.moment is None or answer.span != asked.moment.span:
            asked = seat.now()  # the memory of that time is gone
        seat.reply = Reply(ask, answer, waiting.since, time.monotonic(), asked.newest_age)
        return seat.reply

    def heard(self, seat: Seat, reply: Reply) -> None:
        """An answer has come on by one piece."""
        answer, session = reply.answer, seat.lane.session
        piece, ended = answer.read(), not answer.running
        self._time(reply)
        if answer.completion_tokens or ended:
            seat.lane.stage = Stage.DECODE
            self._announce(seat, reply)
        if piece:
            reply.first_text_at = reply.first_text_at or time.monotonic()
            self._emit(AnswerDelta(session, reply.ask.response, reply.pieces, piece))
            reply.pieces += 1
        if ended:
            self._finish(seat, reply)

    def _time(self, reply: Reply) -> None:
        """What is known of a token that has come since, if one has."""
        if reply.answer.completion_tokens == reply.tokens:
            return
        now = time.monotonic()
        if reply.first_token_at is None:
            reply.first_token_at = now
            self._metrics.first_token(now - reply.asked_at)
        else:
            self._metrics.inter_token_latency.observe(now - reply.token_at)
        reply.tokens, reply.token_at = reply.answer.completion_tokens, now

    def _announce(self, seat: Seat, reply: Reply) -> None:
        if reply.announced:
            return
        reply.announced = True
        span = None
        if reply.answer.span is not None:
            span = Span(*reply.answer.span, newest_age=reply.newest_age)
        self._emit(
            AnswerStarted(
                reply.ask.session,
                reply.ask.response,
                span,
                turns_kept=reply.answer.turns_kept,
                turns_forgotten=reply.answer.turns_forgotten,
            )
        )

    def _finish(self, seat: Seat, reply: Reply) -> None:
        answer = reply.answer
        assert answer.status != "running"
        now = time.monotonic()
        first = reply.first_text_at or now
        self._metrics.e2e_request_latency.observe(now - reply.asked_at)
        self._metrics.request_queue_time.observe(reply.started_at - reply.asked_at)
        if reply.first_token_at is not None:
            self._metrics.request_prefill_time.observe(reply.first_token_at - reply.started_at)
            self._metrics.request_decode_time.observe(now - reply.first_token_at)
        self._traces.answered(reply, seat.newest_trace, now)
        self._emit(
            AnswerDone(
                reply.ask.session,
                reply.ask.response,
                answer.status,
                text=answer.text,
                prompt_tokens=answer.prompt_tokens,
                completion_tokens=answer.completion_tokens,
                queue_seconds=reply.started_at - reply.asked_at,
                ttft_seconds=first - reply.asked_at,
            )
        )
        seat.reply = None
        seat.lane.stage = Stage.IDLE
        seat.changed = True
