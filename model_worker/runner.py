"""Runs the sessions of one worker on one thread: messages in, bounded work, messages out.

Whatever goes wrong inside one session ends that session alone. Knows no broker: `emit` takes
what the sessions' clients are to hear, and must be cheap.
"""

import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, Literal

from messages.answers import AnswerDone
from messages.codec import ToGateway
from messages.files import SaveSession
from messages.frames import Frame
from messages.keys import RING
from messages.memory import DescribeMemory
from messages.questions import Ask, Cancel
from messages.sessions import (
    CloseSession,
    OpenSession,
    SessionClosed,
)
from model_worker.admission import Admission
from model_worker.arrivals import Arrivals, explained
from model_worker.engine import Engine
from model_worker.mailbox import Abandon, Import, Lost, Mail, Resume
from model_worker.metrics import Now, WorkerMetrics
from model_worker.pace import Pace
from model_worker.replies import Replies
from model_worker.saving import Saving
from model_worker.scheduler import MAX_WAITING_QUESTIONS, Scheduler, Turn
from model_worker.seat import Intake, Reply, Seat, shown
from model_worker.snapshot_header import INBOX
from model_worker.timeline import Positions
from model_worker.traces import Traces
from model_worker.work import Work, advance, see
from telemetry.logs import about
from telemetry.tracing import Tracer

log = logging.getLogger(__name__)

STATUS_SECONDS: Final = 0.5
RATE_SECONDS: Final = 5.0
FIRST_FRAME_SECONDS: Final = 2.0
"""How long a question waits for the first frame."""
Reason = Literal["closed", "abandoned", "failed"]


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
        metrics: WorkerMetrics | None = None,
        tracer: Tracer | None = None,
    ) -> None:
        """`name` is the worker's. `max_batch` frames of all sessions pass the model together at
        most, and `max_answers` answers are written at a time; more wait by their age."""
        self._engine = engine
        self._saving = saving or Saving(engine)
        self._metrics = metrics or WorkerMetrics(engine.name)
        self._traces = Traces(tracer, name, engine.name)
        self._hear = emit
        self._usual_bytes = engine.session_bytes(budget_tokens)
        self._scheduler = Scheduler(max_answers)
        self._pace = Pace(max_batch)
        self._replies = Replies(self._emit, self._metrics, self._traces)
        self._half_seen: list[tuple[Seat, Intake]] = []
        self._seats: dict[str, Seat] = {}
        self._arrivals = Arrivals(
            engine,
            self._emit,
            admission,
            self._scheduler,
            self._seats,
            name=name,
            budget_tokens=budget_tokens,
            policy=policy,
            positions=positions,
        )
        self._watched: deque[float] = deque(maxlen=1024)
        self._turn_began: float | None = None

    def _emit(self, message: ToGateway) -> None:
        self._metrics.note(message)
        self._hear(message)

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

    def now(self) -> Now:
        """For a scrape, on any thread."""
        seats = list(self._seats.values())
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
            if mail.response in seat.asked:
                return  # the broker's client sends again what it is not sure of
            if seat.lane.add_question(mail, now):
                seat.asked.append(mail.response)
                with self._alone(seat):
                    seat.times[mail.response] = seat.now()
            else:
                message = f"{MAX_WAITING_QUESTIONS} questions wait already; ask again later."
                self._emit(AnswerDone(mail.session, mail.response, "failed", message=message))
        elif isinstance(mail, Cancel):
            self._cancel(seat, mail.response)
        elif isinstance(mail, DescribeMemory):
            with self._alone(seat):
                self._emit(seat.described())
        elif isinstance(mail, SaveSession):
            self._saving.export(seat, mail)
        elif isinstance(mail, CloseSession):
            self._close(seat, "closed")
        elif isinstance(mail, Abandon):
            self._close(seat, "abandoned", "Nobody kept the session alive.")
        else:
            assert isinstance(mail, Lost)
            log.warning("session %s is another worker's now", shown(mail.session))
            self._free(seat)

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
            return self._take_turn(self._turn_began)
        finally:
            self._turn_began = None

    def _take_turn(self, began: float) -> bool:
        turn = self._next_turn()
        replies = list(self._answers(turn))
        fresh = list(self._intakes(turn))
        intakes, self._half_seen = self._half_seen, []
        if replies:  # words come between the vision tower and the decoder
            self._half_seen = self._see(fresh)
        else:
            intakes += fresh
        planned: list[tuple[Seat, Work, Reply | Intake]] = [
            *((seat, reply.answer, reply) for seat, reply in replies),
            *((seat, intake.watch, intake) for seat, intake in intakes),
        ]
        jobs = [job for job in planned if self._sits(job[0])]
        failures = advance(self._engine.adapter, [work for _, work, _ in jobs])
        for place, (seat, _, job) in enumerate(jobs):
            if not self._sits(seat):
                continue  # it has failed just now, at another job
            with self._alone(seat):
                if place in failures:
                    raise failures[place]
                if isinstance(job, Reply):
                    self._replies.heard(seat, job)
                else:
                    self._seen(seat, job)
        if jobs and turn.prefill is None:  # a prompt takes as long as it is long
            frames = sum(len(intake.frames) for _, intake in fresh)
            self._pace.note(time.monotonic() - began, frames, answering=bool(replies))
        self._tell()
        unsaved = self._saving.due(self._seats.values())
        if unsaved is not None:
            with self._alone(unsaved):
                self._saving.save(unsaved)
        return bool(turn or jobs)

    def _see(self, intakes: list[tuple[Seat, Intake]]) -> list[tuple[Seat, Intake]]:
        """The vision tower for frames whose tokens reach memory in the next turn."""
        intakes = [each for each in intakes if self._sits(each[0])]
        failures = see(self._engine.adapter, [intake.watch for _, intake in intakes])
        for place, (seat, _) in enumerate(intakes):
            with self._alone(seat):
                if place in failures:
                    raise failures[place]
                seat.half_seen = True
        return [each for place, each in enumerate(intakes) if place not in failures]

    def idle_seconds(self) -> float:
        """How long the thread may sleep if no message comes: 0 where there is work."""
        if self._half_seen or self._next_turn():
            return 0.0
        due = [seat.told_at + STATUS_SECONDS for seat in self._seats.values() if seat.changed]
        return max(0.0, min(due) - time.monotonic()) if due else STATUS_SECONDS

    def _next_turn(self) -> Turn:
        now = time.monotonic()
        for seat in list(self._seats.values()):
            with self._alone(seat):
                self._look(seat, now)
        return self._scheduler.next_turn(
            now, lambda answering: self._pace.frames(answering=answering)
        )

    def _look(self, seat: Seat, now: float) -> None:
        """What the session can do now."""
        lane, memory = seat.lane, seat.memory
        # A waiting question is about the memory of when it was asked, which a compression pass
        # would change; but no frame is lost for it.
        spared = bool(lane.questions) and len(lane.frames) < RING
        lane.can_watch = memory.has_room or (memory.can_watch and not spared)
        lane.can_answer = True
        if seat.half_seen:  # they may need a compression pass, which an answer would hold up
            lane.can_watch = lane.can_answer = False
        elif lane.questions and not memory.has_seen:
            # What was sent before the question may still be on its way.
            late = now - lane.questions[0].since >= FIRST_FRAME_SECONDS
            lane.can_answer = late and not lane.frames
            lane.can_watch = True

    def _sits(self, seat: Seat) -> bool:
        """Whether the session is still open."""
        return self._seats.get(seat.lane.session) is seat

    def _answers(self, turn: Turn) -> Iterator[tuple[Seat, Reply]]:
        """The answers of a turn; the one to be prefilled is begun where it is not yet."""
        for session in (*turn.decode, turn.prefill):
            seat = self._seats.get(session) if session is not None else None
            if seat is None:
                continue
            with self._alone(seat):
                reply = seat.reply or self._replies.begin(seat)
                if reply is not None and reply.answer.running:
                    yield seat, reply
                elif reply is not None:
                    self._replies.heard(seat, reply)  # it was cancelled since

    def _intakes(self, turn: Turn) -> Iterator[tuple[Seat, Intake]]:
        """The frames of a turn."""
        for session, count in turn.watch:
            seat = self._seats.get(session)
            if seat is None:
                continue
            with self._alone(seat):
                # An answer that began in this very turn may hold the memory.
                if not seat.memory.can_watch:
                    continue
                engine = self._engine
                intake, rejected = seat.take(count, engine.frame_size, engine.max_pixels)
                for rejection in rejected:
                    self._emit(rejection)
                if intake is not None:
                    yield seat, intake

    def _seen(self, seat: Seat, intake: Intake) -> None:
        """Frames have reached memory."""
        seat.half_seen, seat.changed = False, True
        newest = intake.frames[-1].what
        seat.newest_captured_at, seat.number = newest.captured_at, newest.number
        seat.newest_trace = newest.trace
        now, wall = time.monotonic(), time.time()
        self._watched.extend([now] * len(intake.frames))
        for waiting in intake.frames:
            self._metrics.seen(wall - waiting.what.captured_at)
            self._traces.watched(waiting.what, waiting.since, now)
        while seat.memory.passes:
            self._metrics.compression.observe(seat.memory.passes.popleft())

    def _tell(self) -> None:
        """The state of every memory that changed, at most every STATUS_SECONDS each."""
        now = time.monotonic()
        for seat in list(self._seats.values()):
            if seat.changed and now - seat.told_at >= STATUS_SECONDS:
                seat.changed, seat.told_at = False, now
                with self._alone(seat):
                    self._emit(seat.status())

    # -- ends -----------------------------------------------------------------------------

    @contextmanager
    def _alone(self, seat: Seat) -> Iterator[None]:
        """An error inside ends this session and no other."""
        try:
            yield
        except Exception as error:
            with about(session=shown(seat.lane.session)):
                log.exception("session %s failed", shown(seat.lane.session))
                self._close(seat, "failed", explained(error))

    def _close(self, seat: Seat, reason: Reason, message: str = "") -> None:
        """Free the memory now, and tell whoever waits for an answer."""
        session = seat.lane.session
        responses = [waiting.what.response for waiting in seat.lane.questions]
        if seat.reply is not None:
            responses.insert(0, seat.reply.ask.response)
        status: Literal["failed", "cancelled"] = "failed" if reason == "failed" else "cancelled"
        for response in responses:
            self._emit(AnswerDone(session, response, status, message=message))
        self._free(seat)
        self._emit(SessionClosed(session, reason, message))
        log.info("session %s: %s %s", shown(session), reason, message)

    def _free(self, seat: Seat) -> None:
        """Free the memory now."""
        session = seat.lane.session
        self._seats.pop(session, None)
        self._scheduler.close(session)
        seat.reply = None
        try:
            seat.memory.close()
        except Exception:  # it is forgotten all the same
            log.exception("session %s did not close cleanly", shown(session))

    def leave(self, inbox: Callable[[str], str] = lambda session: "0") -> list[str]:
        """The worker stops: its sessions, which are to go on elsewhere. What is not answered yet
        has failed. inbox: until where a session's orders were read."""
        left = list(self._seats)
        for seat in list(self._seats.values()):
            waiting = [each.what.response for each in seat.lane.questions]
            if seat.reply is not None:
                waiting.insert(0, seat.reply.ask.response)
            for response in waiting:
                self._emit(
                    AnswerDone(
                        seat.lane.session,
                        response,
                        "failed",
                        message="The worker stopped before this was answered: ask again.",
                    )
                )
            with self._alone(seat):
                self._saving.save(seat, {INBOX: inbox(seat.lane.session)})
            if self._sits(seat):
                self._free(seat)
        return left


def _size(kv_bytes: int, usual: int) -> str:
    return "default" if kv_bytes == usual else "smaller" if kv_bytes < usual else "larger"
