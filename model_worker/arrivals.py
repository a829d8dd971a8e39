"""How sessions come to a worker: new, from another worker, or from a user's file."""

import logging
import time
from collections.abc import Callable
from typing import Final

import msgspec

from messages.codec import ToGateway
from messages.keys import DEATHS_SECONDS
from messages.sessions import OpenSession, SessionMoved, SessionOpened, SessionRefused
from model_worker.admission import Admission
from model_worker.engine import Engine
from model_worker.hand import Hand
from model_worker.mailbox import Import, Resume
from model_worker.memory.container import SnapshotError
from model_worker.seat import shown
from model_worker.seats import Seats, explained
from model_worker.session import Session
from model_worker.snapshot_header import INBOX
from model_worker.snapshot_reader import SnapshotReader
from model_worker.timeline import Positions

log = logging.getLogger(__name__)

_LOST: Final = (
    "The worker that held this session stopped, and what it had seen is lost: the memory begins "
    "anew."
)
APART_SECONDS: Final = 60.0
"""For so long after a worker's death its sessions are served apart; after a second one for as long
as deaths count."""
_RESTORED: Final = "Another worker goes on with the memory"


class Arrivals:
    """Gives each one of the `seats` where there is room, and says so, or why not."""

    def __init__(
        self,
        engine: Engine,
        emit: Callable[[ToGateway], None],
        admission: Admission,
        seats: Seats,
        hand: Hand,
        *,
        name: str,
        budget_tokens: int,
        policy: str | None,
        positions: Positions | None,
    ) -> None:
        self._engine = engine
        self._emit = emit
        self._admission = admission
        self._seats = seats
        self._hand = hand
        self._name = name
        self._budget_tokens = budget_tokens
        self._policy = policy
        self._positions = positions

    def take(self, mail: OpenSession | Resume | Import) -> None:
        """One session."""
        match mail:
            case OpenSession():
                self._open(mail)
            case Resume():
                with self._hand.holding(mail.session if mail.deaths else None):
                    self._resume(mail)
            case Import():
                self._import(mail)

    def _resume(self, mail: Resume) -> None:
        """Go on with a session that another worker had."""
        snapshot, problem = mail.snapshot, mail.problem
        if snapshot is not None:
            problem = self._restore(mail.wanted, snapshot)
        if self._seats.get(mail.session) is None:
            self._open(mail.wanted)
        seat = self._seats.get(mail.session)
        if seat is None:
            return
        if mail.deaths:
            apart = APART_SECONDS if mail.deaths == 1 else DEATHS_SECONDS
            seat.apart_until = time.monotonic() + apart
        moved = SessionMoved(mail.session, self._name, False, None, False, _LOST)
        if snapshot is not None and not problem:
            notes = snapshot.header.notes
            seat.resume(notes)
            seat.saved = seat.progress
            final, saved_at = INBOX in notes, notes.get("saved_at")
            lost = 0.0
            if isinstance(saved_at, float) and not final:
                lost = max(0.0, time.time() - saved_at)
            said = (
                f"{_RESTORED}, without its newest {lost:.0f} s." if lost >= 1 else f"{_RESTORED}."
            )
            moved = SessionMoved(mail.session, self._name, True, lost, final, said)
        elif problem:
            message = f"{_LOST} Its snapshot was of no use: {problem}."
            moved = msgspec.structs.replace(moved, message=message)
        self._emit(moved)

    def _import(self, mail: Import) -> None:
        """A session that begins with a user's snapshot, or is refused."""
        snapshot, problem = mail.snapshot, mail.problem
        if snapshot is not None:
            header = snapshot.header
            if (header.shape.budget, header.conversation.instructions) != (
                mail.wanted.budget_tokens,
                mail.wanted.instructions or "",
            ):
                problem = "the snapshot is another than the one that was announced"
            else:
                problem = self._restore(mail.wanted, snapshot)
        if problem:
            self._emit(SessionRefused(mail.session, problem))
        elif snapshot is not None and (seat := self._seats.get(mail.session)) is not None:
            seat.imported(snapshot.header.notes)

    def _restore(self, wanted: OpenSession, snapshot: SnapshotReader) -> str:
        """Why the session cannot have the memory of the snapshot; "" where it has."""
        try:
            self._sit(wanted, lambda: self._engine.restore(snapshot))
        except SnapshotError as error:
            log.warning("session %s cannot be restored: %s", shown(wanted.session), error)
            return str(error)
        return ""

    def _open(self, request: OpenSession) -> None:
        self._sit(
            request,
            lambda: self._engine.open_session(
                budget_tokens=request.budget_tokens or self._budget_tokens,
                policy=self._policy,
                positions=self._positions,
                instructions=request.instructions or "",
            ),
        )

    def _sit(self, request: OpenSession, make: Callable[[], Session]) -> None:
        """A seat for what `make` makes, where there is room; says so, or why not. Raises
        SnapshotError."""
        seat = self._seats.get(request.session)
        if seat is None:
            budget = request.budget_tokens or self._budget_tokens
            try:
                wanted = self._engine.session_bytes(budget, request.instructions or "")
                refusal = self._admission.refusal(wanted, self._seats.kv_bytes, len(self._seats))
                if refusal is not None:
                    self._emit(
                        SessionRefused(request.session, refusal.message, refusal.retry_after)
                    )
                    return
                memory = make()
            except SnapshotError:
                raise
            except ValueError as error:
                self._emit(SessionRefused(request.session, str(error)))
                return
            except Exception as error:  # out of memory, most of all: the others go on
                log.exception("session %s cannot be opened", shown(request.session))
                self._emit(SessionRefused(request.session, explained(error), 5.0))
                return
            seat = self._seats.open(request.session, memory, wanted)
            log.info("session %s opened, %.1f MB", shown(request.session), wanted / 1e6)
        view = seat.memory.memory
        self._emit(
            SessionOpened(
                request.session,
                self._engine.name,
                view.budget_tokens,
                view.cap_tokens,
                seat.kv_bytes,
                self._name,
                self._engine.frame_size,
                self._engine.max_pixels,
            )
        )
