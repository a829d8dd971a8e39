"""The open sessions of one worker, and how each of them ends."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, Literal

from messages.answers import AnswerDone
from messages.codec import ToGateway
from messages.sessions import SessionClosed
from model_worker.scheduler import Scheduler
from model_worker.seat import Seat, shown
from model_worker.session import Session
from telemetry.logs import about

log = logging.getLogger(__name__)

Reason = Literal["closed", "abandoned", "failed"]
_STOPPED: Final = "The worker stopped before this was answered: ask again."


class Seats:
    """By their sessions' ids. emit: takes what the sessions' clients are to hear. For one thread;
    iterating, and the counters, for any."""

    def __init__(self, emit: Callable[[ToGateway], None], scheduler: Scheduler) -> None:
        self._emit = emit
        self._scheduler = scheduler
        self._seats: dict[str, Seat] = {}

    def __iter__(self) -> Iterator[Seat]:
        return iter(list(self._seats.values()))

    def __len__(self) -> int:
        return len(self._seats)

    def __contains__(self, seat: Seat) -> bool:
        """Whether this very seat's session is still open."""
        return self._seats.get(seat.lane.session) is seat

    def get(self, session: str) -> Seat | None:
        return self._seats.get(session)

    @property
    def kv_bytes(self) -> int:
        """What all of them take."""
        return sum(seat.kv_bytes for seat in self)

    def open(self, session: str, memory: Session, kv_bytes: int) -> Seat:
        """A seat for a session that has none."""
        seat = self._seats[session] = Seat(memory, self._scheduler.open(session), kv_bytes)
        return seat

    @contextmanager
    def alone(self, seat: Seat) -> Iterator[None]:
        """An error inside ends this session and no other."""
        try:
            yield
        except Exception as error:
            with about(session=shown(seat.lane.session)):
                log.exception("session %s failed", shown(seat.lane.session))
                self.close(seat, "failed", explained(error))

    def close(self, seat: Seat, reason: Reason, message: str = "") -> None:
        """Free the memory now, and tell whoever waits for an answer."""
        session = seat.lane.session
        self._leave_unanswered(seat, "failed" if reason == "failed" else "cancelled", message)
        self.free(seat)
        self._emit(SessionClosed(session, reason, message))
        log.info("session %s: %s %s", shown(session), reason, message)

    def free(self, seat: Seat) -> None:
        """Free the memory now, and say nothing."""
        session = seat.lane.session
        self._seats.pop(session, None)
        self._scheduler.close(session)
        seat.reply = None
        try:
            seat.memory.close()
        except Exception:  # it is forgotten all the same
            log.exception("session %s did not close cleanly", shown(session))

    def interrupt(self, seat: Seat) -> None:
        """The worker stops: what is not answered yet has failed."""
        self._leave_unanswered(seat, "failed", _STOPPED)

    def _leave_unanswered(
        self, seat: Seat, status: Literal["failed", "cancelled"], message: str
    ) -> None:
        responses = [waiting.what.response for waiting in seat.lane.questions]
        if seat.reply is not None:
            responses.insert(0, seat.reply.ask.response)
        for response in responses:
            self._emit(AnswerDone(seat.lane.session, response, status, message=message))


def explained(error: Exception) -> str:
    """In words for a session's clients."""
    return f"The model failed on this session ({type(error).__name__}: {error})."
