"""Runs the sessions of one worker on one thread: messages in, bounded work, messages out.

Whatever goes wrong inside one session ends that session alone. Knows no broker: `emit` takes
what the sessions' clients are to hear, and must be cheap.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable
from typing import Final

from messages.answers import AnswerDone
from messages.codec import ToGateway
from messages.files import SaveSession
from messages.frames import Frame
from messages.memory import DescribeMemory
from messages.questions import Ask, Cancel
from messages.sessions import CloseSession, OpenSession
from model_worker.admission import Admission
from model_worker.arrivals import Arrivals
from model_worker.engine import Engine
from model_worker.hand import Hand
from model_worker.mailbox import Abandon, Import, Lost, Mail, Resume
from model_worker.metrics import Now, WorkerMetrics
from model_worker.saving import Saving
from model_worker.scheduler import MAX_WAITING_QUESTIONS, Scheduler
from model_worker.seat import Seat, shown
from model_worker.seats import Seats
from model_worker.snapshot_header import INBOX
from model_worker.timeline import Positions
from model_worker.traces import Traces
from model_worker.turns import Turns
from telemetry.logs import about
from telemetry.tracing import Tracer

log = logging.getLogger(__name__)

STATUS_SECONDS: Final = 0.5
_LOST: Final = "This was answered, but the answer was lost on its way: ask again."


class Runner:
    """All sessions of one engine. Everything but the counters is for one thread only."""

    def __init__(
        self,
        engine: Engine,
        emit: Callable[[ToGateway], None],
        admission: Admission,
        *,
        budget_tokens: int,
        name: str = "",
        policy: str | None = None,
        positions: Positions | None = None,
        max_batch: int = 16,
        max_answers: int = 16,
        saving: Saving | None = None,
        hand: Hand | None = None,
        metrics: WorkerMetrics | None = None,
        tracer: Tracer | None = None,
    ) -> None:
        """`name` is the worker's. `max_batch` frames of all sessions pass the model together at
        most, and `max_answers` answers are written at a time; more wait by their age."""
        self._engine = engine
        self._saving = saving or Saving(engine)
        self._hand = hand or Hand()
        self._metrics = metrics or WorkerMetrics(engine.name)
        self._hear = emit
        self._usual_bytes = engine.session_bytes(budget_tokens)
        scheduler = Scheduler(max_answers)
        self._seats = Seats(self._emit, scheduler)
        self._turns = Turns(
            engine,
            self._seats,
            scheduler,
            self._emit,
            self._hand,
            max_batch=max_batch,
            metrics=self._metrics,
            traces=Traces(tracer, name, engine.name),
        )
        self._arrivals = Arrivals(
            engine,
            self._emit,
            admission,
            self._seats,
            self._hand,
            name=name,
            budget_tokens=budget_tokens,
            policy=policy,
            positions=positions,
        )
        self._turn_began: float | None = None

    def _emit(self, message: ToGateway) -> None:
        self._metrics.note(message)
        self._hear(message)

    @property
    def sessions(self) -> int:
        return len(self._seats)

    @property
    def kv_bytes_used(self) -> int:
        return self._seats.kv_bytes

    @property
    def frames_per_second(self) -> float:
        """Frames that reached any memory, over the last seconds."""
        return self._turns.frames_per_second

    def now(self) -> Now:
        """For a scrape, on any thread."""
        seats = list(self._seats)
        sizes = [_size(seat.kv_bytes, self._usual_bytes) for seat in seats]
        kv_bytes: Counter[str] = Counter()
        for size, seat in zip(sizes, seats, strict=True):
            kv_bytes[size] += seat.kv_bytes
        began = self._turn_began
        return Now(
            sessions=Counter(sizes),
            kv_bytes_used=kv_bytes,
            running=sum(seat.reply is not None for seat in seats),
            waiting=sum(len(seat.lane.questions) for seat in seats),
            frames_waiting=sum(len(seat.lane.frames) for seat in seats),
            busy_seconds=0.0 if began is None else time.monotonic() - began,
        )

    # -- messages in ----------------------------------------------------------------------

    def handle(self, mail: Mail) -> None:
        """Take one message. Those for sessions that are not open are left alone."""
        with about(session=shown(mail.session)):
            self._handle(mail)

    def _handle(self, mail: Mail) -> None:
        if isinstance(mail, OpenSession | Resume | Import):
            self._arrivals.take(mail)
            return
        seat = self._seats.get(mail.session)
        if seat is None:
            return
        now = time.monotonic()
        if isinstance(mail, Frame):
            lost = seat.lane.lost_here
            seat.lane.add_frame(mail, now)
            self._metrics.dropped(seat.lane.lost_here - lost)
            # Of what is not in memory yet nothing is told, or its arrival would be told late.
            seat.changed = seat.changed or seat.lane.lost_here != lost
        elif isinstance(mail, Ask):
            if mail.response in seat.asked:  # its gateway is not sure that it was read
                self._asked_again(seat, mail)
            elif seat.lane.add_question(mail, now):
                seat.asked.append(mail.response)
                with self._seats.alone(seat):
                    seat.times[mail.response] = seat.now()
            else:
                message = f"{MAX_WAITING_QUESTIONS} questions wait already; ask again later."
                self._emit(AnswerDone(mail.session, mail.response, "failed", message=message))
        elif isinstance(mail, Cancel):
            self._cancel(seat, mail.response)
        elif isinstance(mail, DescribeMemory):
            with self._seats.alone(seat):
                self._emit(seat.described())
        elif isinstance(mail, SaveSession):
            self._saving.export(seat, mail)
        elif isinstance(mail, CloseSession):
            self._seats.close(seat, "closed")
        elif isinstance(mail, Abandon):
            self._seats.close(seat, "abandoned", "Nobody kept the session alive.")
        else:
            assert isinstance(mail, Lost)
            log.warning("session %s is another worker's now", shown(mail.session))
            self._seats.free(seat)

    def _asked_again(self, seat: Seat, ask: Ask) -> None:
        """A question that has come twice, of which a broker may have forgotten the answer."""
        waiting = [waiting.what.response for waiting in seat.lane.questions]
        running = seat.reply.ask.response if seat.reply is not None else None
        if ask.response not in (running, *waiting):
            self._emit(AnswerDone(ask.session, ask.response, "failed", message=_LOST))

    def _cancel(self, seat: Seat, response: str) -> None:
        if seat.lane.withdraw(response):
            seat.times.pop(response, None)
            self._emit(AnswerDone(seat.lane.session, response, "cancelled"))
        elif seat.reply is not None and seat.reply.ask.response == response:
            seat.reply.answer.cancel()

    # -- work -----------------------------------------------------------------------------

    def turn(self) -> bool:
        """One turn of bounded work, of all sessions together; false where there was none."""
        self._turn_began = time.monotonic()
        try:
            worked = self._turns.take()
            self._tell()
            self._save()
            return worked
        finally:
            self._turn_began = None

    def idle_seconds(self) -> float:
        """How long the thread may sleep if no message comes: 0 where there is work."""
        if self._turns.due:
            return 0.0
        due = [seat.told_at + STATUS_SECONDS for seat in self._seats if seat.changed]
        return max(0.0, min(due) - time.monotonic()) if due else STATUS_SECONDS

    def _tell(self) -> None:
        """The state of every memory that changed, at most every STATUS_SECONDS each."""
        now = time.monotonic()
        for seat in self._seats:
            if seat.changed and now - seat.told_at >= STATUS_SECONDS:
                seat.changed, seat.told_at = False, now
                with self._seats.alone(seat):
                    self._emit(seat.status())

    def _save(self) -> None:
        """One memory at a time, of which the latest snapshot is too old."""
        unsaved = self._saving.due(self._seats)
        if unsaved is not None:
            with self._seats.alone(unsaved), self._hand.holding(unsaved.suspect):
                self._saving.save(unsaved)

    def leave(self, inbox: Callable[[str], str] = lambda session: "0") -> list[str]:
        """The worker stops: its sessions, which are to go on elsewhere. What is not answered yet
        has failed. inbox: until where a session's orders were read."""
        left = []
        for seat in self._seats:
            session = seat.lane.session
            left.append(session)
            self._seats.interrupt(seat)
            with self._seats.alone(seat):
                self._saving.save(seat, {INBOX: inbox(session)})
            if seat in self._seats:
                self._seats.free(seat)
        return left


def _size(kv_bytes: int, usual: int) -> str:
    return "default" if kv_bytes == usual else "smaller" if kv_bytes < usual else "larger"
