"""Runs the sessions of one worker on one thread: messages in, bounded work, messages out.

Whatever goes wrong inside one session ends that session alone. Knows no broker: `emit` takes
what the sessions' clients are to hear, and must be cheap.
"""

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Literal

from messages.answers import AnswerDelta, AnswerDone, AnswerStarted, Span
from messages.codec import ToGateway
from messages.frames import Frame, FrameRejected
from messages.questions import Ask, Cancel
from messages.sessions import (
    CloseSession,
    MemoryStatus,
    OpenSession,
    SessionClosed,
    SessionOpened,
    SessionRefused,
)
from model_worker.admission import Admission
from model_worker.answer import Answer
from model_worker.decoding import Sampling
from model_worker.engine import Engine
from model_worker.mailbox import Abandon, Mail
from model_worker.picture import PictureError, decode
from model_worker.scheduler import MAX_WAITING_QUESTIONS, Lane, Scheduler, Stage
from model_worker.session import FrameError, Session

log = logging.getLogger(__name__)

STATUS_SECONDS: Final = 0.5
RATE_SECONDS: Final = 5.0
Reason = Literal["closed", "abandoned", "worker_stopped", "failed"]


@dataclass
class Reply:
    """An answer in progress. Times are of the rising clock, in seconds."""

    ask: Ask
    answer: Answer
    asked_at: float
    started_at: float
    first_text_at: float | None = None
    announced: bool = False
    pieces: int = 0


@dataclass
class Seat:
    """One open session."""

    memory: Session
    lane: Lane
    kv_bytes: int
    reply: Reply | None = None
    newest_captured_at: float | None = None
    changed: bool = False
    told_at: float = 0.0


class Runner:
    """All sessions of one engine. Everything but the counters is for one thread only."""

    def __init__(
        self,
        engine: Engine,
        emit: Callable[[ToGateway], None],
        admission: Admission,
        *,
        budget_tokens: int,
        policy: str,
    ) -> None:
        self._engine = engine
        self._emit = emit
        self._admission = admission
        self._budget_tokens = budget_tokens
        self._policy = policy
        self._scheduler = Scheduler()
        self._seats: dict[str, Seat] = {}
        self._watched: deque[float] = deque(maxlen=1024)

    @property
    def sessions(self) -> int:
        return len(self._seats)

    @property
    def kv_bytes_used(self) -> int:
        return sum(seat.kv_bytes for seat in list(self._seats.values()))

    @property
    def frames_per_second(self) -> float:
        """Frames that reached any memory, over the last RATE_SECONDS."""
        since = time.monotonic() - RATE_SECONDS
        return sum(1 for at in list(self._watched) if at > since) / RATE_SECONDS

    # -- messages in ----------------------------------------------------------------------

    def handle(self, mail: Mail) -> None:
        """Take one message. Those for sessions that are not open are left alone."""
        if isinstance(mail, OpenSession):
            self._open(mail)
            return
        seat = self._seats.get(mail.session)
        if seat is None:
            return
        now = time.monotonic()
        if isinstance(mail, Frame):
            seat.lane.add_frame(mail, now)
            seat.changed = True
        elif isinstance(mail, Ask):
            if not seat.lane.add_question(mail, now):
                message = f"{MAX_WAITING_QUESTIONS} questions wait already; ask again later."
                self._emit(AnswerDone(mail.session, mail.response, "failed", message=message))
        elif isinstance(mail, Cancel):
            self._cancel(seat, mail.response)
        elif isinstance(mail, CloseSession):
            self._close(seat, "closed")
        else:
            assert isinstance(mail, Abandon)
            self._close(seat, "abandoned", "Nobody kept the session alive.")

    def _open(self, request: OpenSession) -> None:
        seat = self._seats.get(request.session)
        if seat is None:
            budget = request.budget_tokens or self._budget_tokens
            try:
                wanted = self._engine.session_bytes(budget)
                refusal = self._admission.refusal(wanted, self.kv_bytes_used, self.sessions)
                if refusal is not None:
                    self._emit(
                        SessionRefused(request.session, refusal.message, refusal.retry_after)
                    )
                    return
                memory = self._engine.open_session(budget_tokens=budget, policy=self._policy)
            except ValueError as error:
                self._emit(SessionRefused(request.session, str(error)))
                return
            except Exception as error:  # out of memory, most of all: the others go on
                log.exception("session %s cannot be opened", request.session)
                self._emit(SessionRefused(request.session, _explained(error), 5.0))
                return
            seat = Seat(memory, self._scheduler.open(request.session), wanted)
            self._seats[request.session] = seat
            log.info("session %s opened, %.1f MB", request.session, wanted / 1e6)
        view = seat.memory.memory
        self._emit(
            SessionOpened(
                request.session,
                self._engine.name,
                view.budget_tokens,
                view.cap_tokens,
                seat.kv_bytes,
            )
        )

    def _cancel(self, seat: Seat, response: str) -> None:
        if seat.lane.withdraw(response):
            self._emit(AnswerDone(seat.lane.session, response, "cancelled"))
        elif seat.reply is not None and seat.reply.ask.response == response:
            seat.reply.answer.cancel()

    # -- work -----------------------------------------------------------------------------

    def turn(self) -> bool:
        """One turn of bounded work; false where there was none."""
        turn = self._scheduler.next_turn()
        for session in turn.decode:
            self._step(session)
        if turn.prefill is not None:
            self._step(turn.prefill)
        if turn.watch is not None:
            self._watch(turn.watch)
        self._tell()
        return bool(turn)

    def idle_seconds(self) -> float:
        """How long the thread may sleep if no message comes: 0 where there is work."""
        if self._scheduler.next_turn():
            return 0.0
        due = [seat.told_at + STATUS_SECONDS for seat in self._seats.values() if seat.changed]
        return max(0.0, min(due) - time.monotonic()) if due else STATUS_SECONDS

    def _step(self, session: str) -> None:
        """One prefill chunk or one decode step."""
        seat = self._seats.get(session)
        if seat is None:
            return
        with self._alone(seat):
            reply = seat.reply or self._begin(seat)
            if reply is None:
                return
            piece = reply.answer.step()
            ended = reply.answer.status != "running"
            if reply.answer.completion_tokens or ended:
                seat.lane.stage = Stage.DECODE
                self._announce(seat, reply)
            if piece:
                reply.first_text_at = reply.first_text_at or time.monotonic()
                delta = AnswerDelta(session, reply.ask.response, reply.pieces, piece)
                reply.pieces += 1
                self._emit(delta)
            if ended:
                self._finish(seat, reply)
            seat.lane.can_watch = seat.memory.can_watch

    def _begin(self, seat: Seat) -> Reply | None:
        """Start the oldest waiting question; None where it is refused."""
        waiting = seat.lane.questions[0]
        ask = waiting.what
        try:
            sampling = Sampling(ask.max_tokens, ask.temperature, ask.top_p, ask.seed)
            answer = seat.memory.ask(ask.text, sampling)
        except ValueError as error:  # QuestionError, or a sampling that cannot be
            seat.lane.questions.popleft()
            self._emit(AnswerDone(ask.session, ask.response, "failed", message=str(error)))
            return None
        seat.lane.take_question()
        seat.reply = Reply(ask, answer, waiting.since, time.monotonic())
        return seat.reply

    def _announce(self, seat: Seat, reply: Reply) -> None:
        if reply.announced:
            return
        reply.announced = True
        span = None
        if reply.answer.span is not None:
            age = max(0.0, time.time() - (seat.newest_captured_at or time.time()))
            span = Span(*reply.answer.span, newest_age=age)
        self._emit(AnswerStarted(reply.ask.session, reply.ask.response, span))

    def _finish(self, seat: Seat, reply: Reply) -> None:
        answer = reply.answer
        assert answer.status != "running"
        first = reply.first_text_at or time.monotonic()
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

    def _watch(self, session: str) -> None:
        """One frame into memory."""
        seat = self._seats.get(session)
        if seat is None or not seat.lane.frames:
            return
        with self._alone(seat):
            # An answer that began in this very turn may hold the memory.
            seat.lane.can_watch = seat.memory.can_watch
            if not seat.lane.can_watch:
                return
            frame = seat.lane.frames.popleft().what
            seat.changed = True
            try:
                pixels = decode(frame.jpeg, self._engine.frame_size, self._engine.max_pixels)
                seat.memory.watch(pixels, frame.timestamp)
            except (PictureError, FrameError) as error:
                self._emit(FrameRejected(session, frame.number, str(error)))
                return
            seat.newest_captured_at = frame.captured_at
            self._watched.append(time.monotonic())
            seat.lane.can_watch = seat.memory.can_watch

    def _tell(self) -> None:
        """The state of every memory that changed, at most every STATUS_SECONDS each."""
        now = time.monotonic()
        for seat in list(self._seats.values()):
            if seat.changed and now - seat.told_at >= STATUS_SECONDS:
                seat.changed, seat.told_at = False, now
                with self._alone(seat):
                    self._emit(_status(seat))

    # -- ends -----------------------------------------------------------------------------

    @contextmanager
    def _alone(self, seat: Seat) -> Iterator[None]:
        """An error inside ends this session and no other."""
        try:
            yield
        except Exception as error:
            log.exception("session %s failed", seat.lane.session)
            self._close(seat, "failed", _explained(error))

    def _close(self, seat: Seat, reason: Reason, message: str = "") -> None:
        """Free the memory now, and tell whoever waits for an answer."""
        session = seat.lane.session
        self._seats.pop(session, None)
        self._scheduler.close(session)
        responses = [waiting.what.response for waiting in seat.lane.questions]
        if seat.reply is not None:
            responses.insert(0, seat.reply.ask.response)
        status: Literal["failed", "cancelled"] = (
            "failed" if reason in ("failed", "worker_stopped") else "cancelled"
        )
        for response in responses:
            self._emit(AnswerDone(session, response, status, message=message))
        seat.reply = None
        try:
            seat.memory.close()
        except Exception:  # it is forgotten all the same
            log.exception("session %s did not close cleanly", session)
        self._emit(SessionClosed(session, reason, message))
        log.info("session %s: %s %s", session, reason, message)

    def close_all(self, message: str) -> None:
        """The worker stops."""
        for seat in list(self._seats.values()):
            self._close(seat, "worker_stopped", message)


def _status(seat: Seat) -> MemoryStatus:
    view = seat.memory.memory
    return MemoryStatus(
        seat.lane.session,
        tokens=view.tokens,
        peak_tokens=view.peak_tokens,
        cap_tokens=view.cap_tokens,
        kv_bytes=view.kv_bytes,
        frames_seen=view.frames_seen,
        frames_dropped=seat.lane.frames_dropped,
        compressions=view.compressions,
        span=view.span,
        newest_captured_at=seat.newest_captured_at,
    )


def _explained(error: Exception) -> str:
    return f"The model failed on this session ({type(error).__name__}: {error})."
