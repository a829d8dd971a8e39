"""The broker's side that is written: what the sessions' clients are to hear, each write fenced."""

import logging
import queue
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from redis import Redis
from redis.exceptions import RedisError

from messages import keys
from messages.codec import ToGateway, encode
from messages.sessions import SessionClosed, SessionRefused
from model_worker.leases import Leases
from model_worker.outage import Outage

log = logging.getLogger(__name__)

OUTGOING_LENGTH: Final = 4096
BATCH: Final = 64


@dataclass(frozen=True)
class HandOver:
    """This worker is done with a session that is to go on elsewhere."""

    session: str


Outgoing = ToGateway | HandOver


class Writer:
    """lost: is told of a session that turns out to be another worker's. refused: of one that
    could not be opened now, and of how long to leave it alone, in seconds. ended: of one that is
    over."""

    def __init__(
        self,
        client: "Redis",
        leases: Leases,
        lost: Callable[[str], None],
        refused: Callable[[str, float], None],
        ended: Callable[[str], None] = lambda session: None,
    ) -> None:
        self._client = client
        self._leases = leases
        self._lost = lost
        self._refused = refused
        self._ended = ended
        self._outgoing: queue.Queue[Outgoing | None] = queue.Queue(OUTGOING_LENGTH)

    def put(self, message: Outgoing | None, stopping: threading.Event) -> None:
        """Waits while the broker takes nothing and much is unsaid, but not past the end. None is
        the last thing that is said."""
        while True:
            try:
                self._outgoing.put(message, timeout=0.5)
                return
            except queue.Full:
                if stopping.is_set():
                    return

    def run(self, stopping: threading.Event) -> None:
        """Writes until the last thing is said."""
        last = False
        while not last:
            batch = [self._outgoing.get()]
            while len(batch) < BATCH and not self._outgoing.empty():
                batch.append(self._outgoing.get_nowait())
            last = None in batch
            self._publish([each for each in batch if each is not None], stopping)

    def _publish(self, batch: list[Outgoing], stopping: threading.Event) -> None:
        outage = Outage("writing")
        while batch:
            try:
                self._write(batch)
                outage.over()
                return
            except RedisError as error:
                if stopping.wait(outage.seconds(error)):
                    return

    def _write(self, batch: Iterable[Outgoing]) -> None:
        """All of it, a session's in order. What is sent twice, because a reply was lost, does no
        harm: pieces of text are numbered. Raises RedisError."""
        by_session: dict[str, list[Outgoing]] = {}
        for message in batch:
            by_session.setdefault(message.session, []).append(message)
        pipe = self._client.pipeline(transaction=False)
        over: list[str] = []
        sessions: list[tuple[str, bool]] = []  # of each reply: whose, and whether it ends there
        for session, said in by_session.items():
            lease = self._leases.get(session)
            if lease is None:
                continue  # it is another worker's
            messages = [encode(each) for each in said if not isinstance(each, HandOver)]
            if messages:
                self._leases.write(pipe, lease, messages)
                sessions.append((session, False))
            end = said[-1]
            if isinstance(end, HandOver):
                self._leases.give_back(pipe, lease, keys.FIRST_IN_LINE)
            elif isinstance(end, SessionRefused) and end.retry_after is not None:
                self._refused(session, end.retry_after)
                self._leases.give_back(pipe, lease, lease.turn)
            elif isinstance(end, SessionClosed | SessionRefused):
                self._leases.release(pipe, lease)
                over.append(session)
            else:
                continue
            sessions.append((session, True))
        for (session, ended), held in zip(sessions, pipe.execute(), strict=True):
            if ended:
                self._leases.forget(session)
            elif not held:
                self._leases.forget(session)
                self._lost(session)
        for session in over:
            self._ended(session)
