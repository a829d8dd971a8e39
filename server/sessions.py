"""All sessions of this gateway: opened on a worker, kept alive, closed when nobody needs them.

A session is one gateway's. Where that one is lost, the next that is asked for the session adopts
it; where its worker is lost, it waits for another at the head of the queue.
"""

import asyncio
import logging
import secrets
import time
from typing import IO, Any, Final

from redis.exceptions import RedisError

from messages import keys
from messages.codec import MalformedMessage, decode_record
from messages.files import Imported
from messages.sessions import OpenSession, SessionRecord
from messages.workers import PROTOCOL
from server.access import Caller
from server.errors import (
    RETRY_SECONDS,
    ClientError,
    ServiceError,
    broker_unavailable,
    incompatible_session,
    no_worker,
    unknown_session,
)
from server.line import Line
from server.observer import Observer
from server.opening import opened
from server.past import Past, read_past
from server.session import Session
from server.settings import GatewaySettings
from server.snapshot_file import read_header
from server.transfer import Upload
from server.workers import Workers
from telemetry.logs import about

log = logging.getLogger(__name__)

_RESTART_SECONDS: Final = 20.0
"""How long the sessions of a gateway that stops wait for the next one."""


class Sessions:
    """The registry. Ids cannot be guessed: whoever has one may use the session."""

    def __init__(
        self,
        settings: GatewaySettings,
        broker: Any,
        workers: Workers,
        observer: Observer | None = None,
    ) -> None:
        self.settings = settings
        self._observer = observer or Observer()
        self.name = secrets.token_hex(8).encode()
        """This gateway's, for as long as it runs."""
        self._broker = broker
        self._workers = workers
        self._line = Line(broker)
        self._sessions: dict[str, Session] = {}
        self._adopting = asyncio.Lock()
        self._closing: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._sessions)

    def all(self) -> list[Session]:
        """Those of this gateway."""
        return list(self._sessions.values())

    def held_by(self, party: str) -> int:
        """How many count against these limits."""
        return sum(session.party == party for session in self._sessions.values())

    async def find(self, session: str, caller: Caller) -> Session:
        """Raises ClientError (404) for a session that is not, or no longer, there, or is another
        key's; ServiceError for one that another gateway serves, or where the broker fails."""
        found = self._sessions.get(session)
        if found is None:
            async with self._adopting:
                found = self._sessions.get(session) or await self._adopt(session, caller)
        if not caller.reaches(session, found.owner):
            raise unknown_session(session)
        return found

    async def open(
        self,
        caller: Caller,
        budget_tokens: int | None,
        instructions: str | None = None,
        ticket: str | None = None,
    ) -> Session:
        """Reserves a memory. ticket: of a place in the queue, as an earlier refusal told it.

        Raises ServiceError where no worker lives or none has room yet, and ClientError where the
        budget can never fit or the instructions are too long.
        """
        instructions = self._checked((instructions or "").strip()) or None
        self._check_workers()
        try:
            record = await self._ticket(ticket, caller)
            if record is None:
                wanted = OpenSession(secrets.token_urlsafe(16), budget_tokens, instructions)
                record = await self._join(wanted, caller)
            return await self._begin(await opened(record, self.settings, self._broker, self._line))
        except RedisError as error:
            raise broker_unavailable(error) from error

    async def restore(self, caller: Caller, file: IO[bytes], ticket: str | None) -> Session:
        """A new session that begins with the snapshot in this file.

        Raises as `open`, and ClientError (422) where the snapshot cannot be used.
        """
        header = read_header(file)
        instructions = self._checked(header.conversation.instructions) or None
        self._check_workers()
        try:
            record = await self._ticket(ticket, caller, importing=True)
            if record is None:
                wanted = OpenSession(secrets.token_urlsafe(16), header.shape.budget, instructions)
                known = header.model.name in self._workers.models
                imported = Imported(
                    secrets.token_urlsafe(16),
                    header.model.name if known else None,
                    header.watching.frames,
                    header.watching.newest or 0.0,
                )
                record = await self._join(wanted, caller, imported)
            assert record.imported is not None
            async with Upload(self._broker, file, record.imported.channel) as upload:
                record = await opened(record, self.settings, self._broker, self._line, upload)
            return await self._begin(record)
        except RedisError as error:
            raise broker_unavailable(error) from error

    async def keep_place(self, ticket: str | None, caller: Caller) -> None:
        """While a file is on its way that is to have this place. Raises ServiceError."""
        try:
            record = None if ticket is None else await self._record(ticket)
            if record is not None and caller.reaches(record.wanted.session, record.owner):
                session = record.wanted.session
                if record.opened is None and await self._broker.exists(keys.alive(session)):
                    await self._line.hold(session, self.settings.ticket_seconds, away=True)
        except RedisError as error:
            raise broker_unavailable(error) from error

    def _check_workers(self) -> None:
        """Raises ServiceError where none lives."""
        if self._workers.card is None:
            raise (
                no_worker(self._workers.strangers)
                if self._workers.reachable
                else broker_unavailable("it is away")
            )

    async def _join(
        self, wanted: OpenSession, caller: Caller, imported: Imported | None = None
    ) -> SessionRecord:
        """A place in the queue. Raises ClientError (429) where the caller has many."""
        if await self._line.held_by(caller.party) >= self.settings.waiting_each:
            raise ClientError(
                "too_many_waiting",
                f"{self.settings.waiting_each} sessions of yours wait already: ask again with "
                "their tickets.",
                status=429,
                retry_after=RETRY_SECONDS,
            )
        hold = self.settings.open_seconds + self.settings.ticket_seconds
        return await self._line.join(wanted, caller.key, caller.party, hold, imported)

    def admit_camera(self, session: Session) -> None:
        """Raises ServiceError (503) where as many cameras are connected as may be. One that
        replaces another of this session is always welcome."""
        most = self.settings.most_cameras
        if sum(s.watching for s in self._sessions.values() if s is not session) >= most:
            raise ServiceError(
                "too_many_cameras",
                f"{most} cameras are connected already: try again later, or raise "
                "LOOKBACK_MOST_CAMERAS.",
                status=503,
                retry_after=RETRY_SECONDS,
            )

    async def close(self, session: Session, reason: str, message: str) -> None:
        """Removes it at once; its memory is free when this returns, as far as we can reach."""
        if self._sessions.pop(session.id, None) is not None:
            self._observer.metrics.closed(reason)
            with about(session=session.name):
                log.info("session %s closed (%s): %s", session.name, reason, message)
            await session.close(reason, message)

    def close_soon(self, session: Session, reason: str, message: str) -> None:
        """As `close`, without waiting for it."""
        task = asyncio.create_task(self.close(session, reason, message))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def lose(self, session: Session) -> None:
        """Another gateway has it."""
        self._sessions.pop(session.id, None)
        log.warning("session %s is another gateway's now", session.name)
        await session.leave_to_another()

    async def leave_all(self) -> None:
        """The gateway stops: its sessions stay for a while, for the one that comes after it."""
        leaving = list(self._sessions.values())
        self._sessions.clear()
        await asyncio.gather(*(session.leave_to_another() for session in leaving), *self._closing)
        try:
            async with self._broker.pipeline(transaction=False) as pipe:
                for session in leaving:
                    pipe.set(keys.alive(session.id), b"1", px=int(1000 * _RESTART_SECONDS))
                    pipe.delete(keys.gateway(session.id))
                await pipe.execute()
        except RedisError as error:
            log.warning("the sessions were not left to another gateway: %s", error)

    def _checked(self, instructions: str) -> str:
        limit, param = self.settings.instructions_characters, "instructions"
        if len(instructions) > limit:
            message = f"The instructions have {len(instructions)} characters; give at most {limit}."
            raise ClientError("instructions_too_long", message, param=param, status=422)
        return instructions

    async def _ticket(
        self, ticket: str | None, caller: Caller, *, importing: bool = False
    ) -> SessionRecord | None:
        """What waits under this ticket; None where its place has run out."""
        record = None if ticket is None else await self._record(ticket)
        if record is None or not caller.reaches(record.wanted.session, record.owner):
            return None
        if record.protocol != PROTOCOL or importing != (record.imported is not None):
            return None
        if not await self._broker.exists(keys.alive(record.wanted.session)):
            return None
        hold = self.settings.open_seconds + self.settings.ticket_seconds
        await self._line.hold(record.wanted.session, hold)
        return record

    async def _record(self, session: str) -> SessionRecord | None:
        data = await self._broker.get(keys.session(session))
        try:
            return None if data is None else decode_record(data)
        except MalformedMessage as error:
            log.warning("session %s: its record cannot be read: %s", session[:8], error)
            return None

    async def _begin(self, record: SessionRecord) -> Session:
        async with self._broker.pipeline(transaction=True) as pipe:
            self._line.write(pipe, record)
            session = record.wanted.session
            pipe.set(keys.alive(session), b"1", ex=keys.ALIVE_TTL_SECONDS)
            await pipe.execute()
        waited = max(0.0, time.time() - record.began)
        self._observer.metrics.queue_wait.observe(waited)
        return self._add(record)

    async def _adopt(self, session: str, caller: Caller) -> Session:
        """A session whose gateway is gone. Raises as `find`."""
        try:
            record = await self._record(session)
            if (
                record is None
                or record.opened is None
                or not caller.reaches(session, record.owner)
                or not await self._broker.exists(keys.alive(session), keys.owner(session))
            ):
                raise unknown_session(session)
            if record.protocol != PROTOCOL:
                raise incompatible_session()
            ours = await self._broker.set(
                keys.gateway(session), self.name, nx=True, ex=keys.GATEWAY_TTL_SECONDS
            )
            if not ours:
                raise ServiceError(
                    "session_elsewhere",
                    "Another gateway serves this session: send all its requests to that one. "
                    "Where that one was lost, this one takes over in some seconds.",
                    status=503,
                    retry_after=RETRY_SECONDS,
                )
            past = await read_past(self._broker, session)
        except RedisError as error:
            raise broker_unavailable(error) from error
        adopted = self._add(record, past)
        self._observer.metrics.adopted.inc()
        with about(session=adopted.name):
            log.info("session %s adopted", adopted.name)
        return adopted

    def _add(self, record: SessionRecord, past: Past | None = None) -> Session:
        def ended(reason: str, message: str) -> None:
            self.close_soon(session, reason, message)

        session = Session(record, self.settings, self._broker, ended, past, self._observer)
        self._sessions[session.id] = session
        if past is None:
            self._observer.metrics.opened.inc()
        with about(session=session.name):
            log.info("session %s opened, %d in all", session.name, len(self._sessions))
        return session
