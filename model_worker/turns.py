"""Turns of bounded work: what the sessions have to do next, done together on the model's thread."""

import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Final

from messages.codec import ToGateway
from messages.keys import RING
from model_worker.engine import Engine
from model_worker.hand import Hand
from model_worker.metrics import WorkerMetrics
from model_worker.pace import Pace
from model_worker.replies import Replies
from model_worker.scheduler import Scheduler, Turn
from model_worker.seat import Intake, Reply, Seat
from model_worker.seats import Seats
from model_worker.traces import Traces
from model_worker.work import Work, advance, see

RATE_SECONDS: Final = 5.0
FIRST_FRAME_SECONDS: Final = 2.0
"""How long a question waits for the first frame."""


class Turns:
    """`max_batch` frames of all sessions pass the model together at most. emit: takes what the
    sessions' clients are to hear."""

    def __init__(
        self,
        engine: Engine,
        seats: Seats,
        scheduler: Scheduler,
        emit: Callable[[ToGateway], None],
        hand: Hand,
        *,
        max_batch: int,
        metrics: WorkerMetrics,
        traces: Traces,
    ) -> None:
        self._engine = engine
        self._seats = seats
        self._scheduler = scheduler
        self._emit = emit
        self._hand = hand
        self._pace = Pace(max_batch)
        self._metrics = metrics
        self._traces = traces
        self._replies = Replies(emit, metrics, traces)
        self._half_seen: list[tuple[Seat, Intake]] = []
        self._watched: deque[float] = deque(maxlen=1024)

    @property
    def frames_per_second(self) -> float:
        """Frames that reached any memory, over the last RATE_SECONDS. For any thread."""
        since = time.monotonic() - RATE_SECONDS
        return sum(1 for at in list(self._watched) if at > since) / RATE_SECONDS

    @property
    def due(self) -> bool:
        """Whether there is something to do."""
        return bool(self._half_seen or self._next())

    def take(self) -> bool:
        """One turn, of all sessions together but for suspected ones, each of which is by itself;
        false where there was nothing to do."""
        turn = self._next()
        half_seen, self._half_seen = self._half_seen, []
        suspects = {seat.suspect for seat in self._seats} - {None}
        if not suspects:
            return self._work(turn, half_seen)
        worked = False
        for group in (None, *sorted(suspects, key=str)):

            def ours(session: str, group: str | None = group) -> bool:
                return session == group if group else session not in suspects

            part = turn.of(ours)
            rest = [each for each in half_seen if ours(each[0].lane.session)]
            if part or rest:
                with self._hand.holding(group):
                    worked |= self._work(part, rest)
        return worked

    def _work(self, turn: Turn, intakes: list[tuple[Seat, Intake]]) -> bool:
        """intakes: those whose frames have passed the vision tower."""
        began = time.monotonic()
        replies = list(self._answers(turn))
        fresh = list(self._intakes(turn))
        if replies:  # words come between the vision tower and the decoder
            self._half_seen += self._see(fresh)
        else:
            intakes += fresh
        planned: list[tuple[Seat, Work, Reply | Intake]] = [
            *((seat, reply.answer, reply) for seat, reply in replies),
            *((seat, intake.watch, intake) for seat, intake in intakes),
        ]
        jobs = [job for job in planned if job[0] in self._seats]
        failures = advance(self._engine.adapter, [work for _, work, _ in jobs])
        for place, (seat, _, job) in enumerate(jobs):
            if seat not in self._seats:
                continue  # it has failed just now, at another job
            with self._seats.alone(seat):
                if place in failures:
                    raise failures[place]
                if isinstance(job, Reply):
                    self._replies.heard(seat, job)
                else:
                    self._seen(seat, job)
        if jobs and turn.prefill is None:  # a prompt takes as long as it is long
            frames = sum(len(intake.frames) for _, intake in fresh)
            self._pace.note(time.monotonic() - began, frames, answering=bool(replies))
        return bool(turn or jobs)

    def _see(self, intakes: list[tuple[Seat, Intake]]) -> list[tuple[Seat, Intake]]:
        """The vision tower for frames whose tokens reach memory in the next turn."""
        intakes = [each for each in intakes if each[0] in self._seats]
        failures = see(self._engine.adapter, [intake.watch for _, intake in intakes])
        for place, (seat, _) in enumerate(intakes):
            with self._seats.alone(seat):
                if place in failures:
                    raise failures[place]
                seat.half_seen = True
        return [each for place, each in enumerate(intakes) if place not in failures]

    def _next(self) -> Turn:
        now = time.monotonic()
        for seat in self._seats:
            with self._seats.alone(seat):
                _look(seat, now)
        return self._scheduler.next_turn(
            now, lambda answering: self._pace.frames(answering=answering)
        )

    def _answers(self, turn: Turn) -> Iterator[tuple[Seat, Reply]]:
        """The answers of a turn; the one to be prefilled is begun where it is not yet."""
        for session in (*turn.decode, turn.prefill):
            seat = self._seats.get(session) if session is not None else None
            if seat is None:
                continue
            with self._seats.alone(seat):
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
            with self._seats.alone(seat):
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
            self._metrics.seen(waiting.what, wall)
            self._traces.watched(waiting.what, waiting.since, now)
        while seat.memory.passes:
            self._metrics.compression.observe(seat.memory.passes.popleft())


def _look(seat: Seat, now: float) -> None:
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
