"""All sessions of this gateway: opened on a worker, kept alive, closed when nobody needs them."""

import asyncio
import logging
import secrets
import time
from typing import Any

from redis.exceptions import RedisError

from broker.connection import BLOCK_MILLISECONDS
from messages import keys
from messages.codec import MalformedMessage, decode_to_gateway
from messages.sessions import CloseSession, OpenSession, SessionOpened, SessionRefused
from messages.workers import WorkerCard
from server.access import Caller
from server.errors import (
    RETRY_SECONDS,
    ClientError,
    ServiceError,
    broker_unavailable,
    no_worker,
    unknown_session,
)
from server.session import Session, send
from server.settings import GatewaySettings
from server.workers import Workers

log = logging.getLogger(__name__)

_LOOK_SECONDS = 0.25
_ALIVE_SECONDS = 2.0


class Sessions:
    """The registry. Ids cannot be guessed: whoever has one may use the session."""

    def __init__(self, settings: GatewaySettings, broker: Any, workers: Workers) -> None:
        self.settings = settings
        self._broker = broker
        self._workers = workers
        self._sessions: dict[str, Session] = {}
        self._closing: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._sessions)

    def find(self, session: str, caller: Caller) -> Session:
        """Raises ClientError (404) for a session that is not, or no longer, here, or is another
        key's."""
        found = self._sessions.get(session)
        if found is None or not caller.reaches(session, found.owner):
            raise unknown_session(session)
        return found

    async def open(
        self, caller: Caller, budget_tokens: int | None, instructions: str | None = None
    ) -> Session:
        """Reserves a memory. Raises ServiceError where no worker lives or none has room, and
        ClientError where the budget can never fit or the instructions are too long."""
        instructions = self._checked((instructions or "").strip()) or None
        card = self._workers.card
        if card is None:
            raise no_worker() if self._workers.reachable else broker_unavailable("it is away")
        identity = secrets.token_urlsafe(16)
        wanted = OpenSession(identity, budget_tokens, card.worker, instructions)
        try:
            await self._broker.set(keys.alive(identity), b"1", ex=keys.ALIVE_TTL_SECONDS)
            await send(self._broker, wanted)
            opened, entry = await self._opened(wanted)
        except RedisError as error:
            raise broker_unavailable(error) from error
        return self._add(wanted, opened, entry, card, caller)

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
            log.info("session %s closed (%s): %s", session.name, reason, message)
            await session.close(reason, message)

    async def close_all(self, reason: str, message: str) -> None:
        """The gateway stops."""
        closings = [self.close(session, reason, message) for session in [*self._sessions.values()]]
        await asyncio.gather(*closings, *self._closing)

    async def run(self) -> None:
        """Keeps the wanted sessions alive and closes the others, until cancelled."""
        alive_at = float("-inf")
        while True:
            now = time.monotonic()
            for session in list(self._sessions.values()):
                unneeded = session.expired(now)
                if unneeded is not None:
                    self._close_soon(session, "expired", unneeded)
                elif self._workers.gone(session.worker):
                    self._close_soon(
                        session, "worker_lost", "The model worker stopped, and what it saw is lost."
                    )
                else:
                    session.tick(now)
            if now - alive_at >= _ALIVE_SECONDS:
                alive_at = now
                await self._keep_alive()
            await asyncio.sleep(_LOOK_SECONDS)

    async def _keep_alive(self) -> None:
        try:
            async with self._broker.pipeline(transaction=False) as pipeline:
                for identity in self._sessions:
                    pipeline.set(keys.alive(identity), b"1", ex=keys.ALIVE_TTL_SECONDS)
                await pipeline.execute()
        except RedisError as error:
            log.warning("the sessions were not kept alive: %s", error)

    def _checked(self, instructions: str) -> str:
        limit, param = self.settings.instructions_characters, "instructions"
        if len(instructions) > limit:
            message = f"The instructions have {len(instructions)} characters; give at most {limit}."
            raise ClientError("instructions_too_long", message, param=param, status=422)
        try:
            instructions.encode()
        except UnicodeEncodeError as error:
            message = f"Character {error.start} of the instructions is half a surrogate pair."
            raise ClientError("invalid_request", message, param=param, status=422) from error
        return instructions

    async def _opened(self, wanted: OpenSession) -> tuple[SessionOpened, bytes]:
        """The worker's yes. Raises ServiceError or ClientError for its no, or its silence."""
        identity = wanted.session
        deadline = time.monotonic() + self.settings.open_seconds
        read_to: bytes | str = "0"
        while (left := deadline - time.monotonic()) > 0:
            reply = await self._broker.xread(
                {keys.events(identity): read_to},
                block=max(1, min(BLOCK_MILLISECONDS, int(left * 1000))),
            )
            for _, entries in reply:
                for entry, fields in entries:
                    read_to = entry
                    try:
                        message = decode_to_gateway(fields.get(keys.FIELD, b""))
                    except MalformedMessage as error:
                        log.warning("session %s: an event cannot be read: %s", identity[:8], error)
                        continue
                    if isinstance(message, SessionOpened):
                        return message, entry
                    if isinstance(message, SessionRefused):
                        raise _refused(message, wanted)
        await send(self._broker, CloseSession(identity))
        raise ServiceError(
            "worker_silent",
            "The model worker did not answer in time; it may be very busy.",
            status=503,
            retry_after=RETRY_SECONDS,
        )

    def _add(
        self,
        wanted: OpenSession,
        opened: SessionOpened,
        entry: bytes,
        card: WorkerCard,
        caller: Caller,
    ) -> Session:
        def ended(reason: str, message: str) -> None:
            self._close_soon(session, reason, message)

        session = Session(wanted, opened, entry, card, self.settings, self._broker, ended)
        session.owner = caller.key
        self._sessions[session.id] = session
        log.info("session %s opened, %d in all", session.name, len(self._sessions))
        return session

    def _close_soon(self, session: Session, reason: str, message: str) -> None:
        task = asyncio.create_task(self.close(session, reason, message))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


def _refused(message: SessionRefused, wanted: OpenSession) -> ClientError:
    if message.retry_after is None:
        # The worker says in words which of the two it cannot take.
        param = "budget_tokens" if wanted.instructions is None else None
        return ClientError("session_refused", message.message, param=param, status=422)
    return ServiceError("no_room", message.message, status=503, retry_after=message.retry_after)
