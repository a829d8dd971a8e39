"""One session: a memory on a worker, its camera, its conversation, and who listens.

Knows nothing about HTTP.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, TypeVar

from redis.exceptions import RedisError

from messages.answers import AnswerDelta, AnswerDone, AnswerStarted
from messages.codec import ToGateway, ToWorker
from messages.files import Option, SaveSession
from messages.frames import FrameRejected
from messages.memory import MemoryDescribed
from messages.questions import Ask
from messages.sessions import (
    CloseSession,
    MemoryStatus,
    SessionClosed,
    SessionMoved,
    SessionRecord,
)
from server.attendance import Attendance
from server.broadcast import Broadcast, Event, Subscription
from server.cameras import Cameras, Publisher
from server.conversation import Conversation
from server.errors import ClientError, ServiceError, unknown_session
from server.events import (
    ClientEvent,
    ItemCreate,
    MemoryDescribe,
    ResponseCancel,
    ResponseCreate,
    SessionUpdate,
)
from server.feed import FrameFeed
from server.fixed import check_fixed
from server.inbox import send
from server.line import Line
from server.memory import Memory
from server.observer import Observer
from server.offers import Offers
from server.past import Past
from server.pictures import Pictures
from server.portrait import described, realtime
from server.reports import Reports
from server.settings import GatewaySettings
from server.tasks import stop
from server.tenure import Tenure
from server.transfer import Download
from server.unread import Unread
from telemetry.logs import about

log = logging.getLogger(__name__)

T = TypeVar("T")


class Session:
    """ended: is called with a reason and a message when the worker says that the memory is gone.
    past: what another gateway's clients have heard, where this one adopts its session. observer:
    notes what becomes of frames and answers."""

    def __init__(
        self,
        record: SessionRecord,
        settings: GatewaySettings,
        broker: Any,
        ended: Callable[[str, str], None],
        past: Past | None = None,
        observer: Observer | None = None,
    ) -> None:
        assert record.opened is not None
        self.record = record
        self.wanted = record.wanted
        self.opened = record.opened
        self.id = record.opened.session
        self.name = self.id[:8]
        """For logs: whoever has the whole id may use the session."""
        self.owner = record.owner
        """The API key that made it, by its id: it is there for no other."""
        self.party = record.party
        """Whose limits it counts against."""
        self._settings = settings
        self._broker = broker
        self._ended = ended
        self._broadcast = Broadcast()
        self.tenure = Tenure(self.id, record.opened.worker, self._broadcast.publish)
        self._observer = observer or Observer()
        self._conversation = Conversation(
            self.id, settings, self._broadcast.publish, self._send, self._observer
        )
        self._memory = Memory(self.id, self._broadcast.show, self._send)
        self.feed = FrameFeed(
            self.id,
            settings,
            broker,
            self.opened.frame_size,
            self.opened.max_pixels,
            self._frame_rejected,
            self._observer,
        )
        self._pictures = Pictures(self.feed, settings)
        self.cameras = Cameras(self.id, self.feed, self._broadcast.show)
        self.attendance = Attendance(settings)
        self.offers = Offers(self.feed, settings, self.cameras, self.publish)
        self._closed = False
        if (imported := record.imported) is not None and imported.frames:
            self.feed.begin(imported.frames, imported.seconds)
        if past is not None:
            self._recall(past)
        read_to = record.opened_at if past is None else past.read_to
        reports = Reports(self.id, broker, read_to, self._hear_worker)
        with about(session=self.name, request=None):  # they outlive the request that made it
            self._tasks = [
                asyncio.create_task(reports.run(), name=f"events of {self.name}"),
                asyncio.create_task(self.feed.run(), name=f"frames of {self.name}"),
                asyncio.create_task(self._conversation.run(), name=f"questions of {self.name}"),
                asyncio.create_task(self._memory.run(), name=f"descriptions of {self.name}"),
            ]

    def _recall(self, past: Past) -> None:
        """Say again, to those who come back, what was said before."""
        for entry, message in past.said:
            if isinstance(message, Ask):
                if message.told is None:  # whoever did not hear of it hears it now
                    self._broadcast.at(entry)
                self._conversation.recall(message, entry)
            elif isinstance(message, SessionClosed):
                return  # the worker reports it anew
            else:
                self._hear_worker(entry, message)
        self._broadcast.skip()
        imported = self.record.imported
        wall = max(0.0, time.time() - self.record.began) + (imported.seconds if imported else 0.0)
        self.feed.resume(past.frame, wall)

    # Who listens.

    def join(self, after: str | None) -> Subscription:
        """A websocket joins; `after` is the id of the last event that it has."""
        self.attendance.came()
        created = {"type": "session.created", "session": self._realtime(None)}
        subscription = self._broadcast.subscribe(created, after)
        for event in (self._memory.event(), self.cameras.event()):
            if event is not None:
                subscription.put(self._broadcast.numbered(event))
        return subscription

    def listen(self) -> Subscription:
        """As a websocket, for somebody who joins without one."""
        return self._broadcast.subscribe()

    def leave(self, subscription: Subscription) -> None:
        """Who has joined is gone."""
        self._broadcast.unsubscribe(subscription)
        self._conversation.questions.forget(subscription)
        self.attendance.left()

    def tell(self, subscription: Subscription, event: Event) -> None:
        """To one websocket only."""
        subscription.put(self._broadcast.numbered(event))

    async def hear(self, client: Subscription, event: ClientEvent) -> str | None:
        """What a client said; the new response's id, where it asked for one. Raises
        ClientError."""
        if self._closed:
            raise unknown_session(self.id)
        self.attendance.asked()
        match event:
            case ItemCreate():
                self._conversation.questions.checked(client, event)
                pictures = await self._pictures.show(event.item.pictures)
                self._conversation.questions.add(client, event, pictures)
            case ResponseCreate():
                check_fixed(self.wanted, event.response.instructions, "response.instructions")
                # The worker may report a frame before the broker has confirmed it to us.
                imported = self.record.imported is not None and self.record.imported.frames > 0
                seen = imported or self._memory.frames_seen or self.feed.counters.frames_sent
                unseen, frames = None if seen else self.cameras.unseen(), self._pictures.frames
                return self._conversation.respond(client, event, unseen, frames)
            case ResponseCancel():
                self._conversation.cancel(event)
            case MemoryDescribe():
                self._memory.describe()
            case SessionUpdate():
                check_fixed(self.wanted, event.session.instructions, "session.instructions")
                if event.session.max_output_tokens is not None:
                    self._conversation.questions.limit(client, event.session.max_output_tokens)
                told = self._realtime(client)
                self.tell(client, {"type": "session.updated", "session": told})
        return None

    def admit_question(self) -> None:
        """Raises ClientError (429) where as many wait as may."""
        self._conversation.admit()

    def cancel(self, response: str) -> None:
        """Stops a response; one that has ended is left alone."""
        with contextlib.suppress(ClientError):
            self._conversation.cancel(ResponseCancel(response))

    # The camera.

    async def publish(self, publisher: Publisher, begin: Callable[[], Awaitable[T]]) -> T:
        """What `begin` returns, once this publisher is the session's camera. Raises what `begin`
        raises, and ClientError."""
        begun = await self.cameras.replace(publisher, begin)
        self.attendance.came()
        return begun

    @property
    def watching(self) -> bool:
        """Whether a camera is connected, or connecting."""
        return self.cameras.busy

    def _frame_rejected(self, message: str) -> None:
        self._broadcast.publish({"type": "lookback.frame.rejected", "message": message})

    # Its life.

    def described(self) -> dict[str, Any]:
        """As `portrait.described`."""
        return described(self.wanted, self.opened, self._settings.fps)

    def _realtime(self, client: Subscription | None) -> dict[str, Any]:
        """The session as the Realtime API shows it, to this client."""
        return realtime(self.described(), self._conversation.questions.longest(client))

    def state(self) -> dict[str, Any]:
        """What a client may know at any time."""
        memory = self._memory.event()
        return {
            **self.described(),
            "memory": memory and memory["memory"],
            "camera": self.cameras.described(),
            "websockets": len(self._broadcast),
            "responses": {
                "running": self._conversation.running,
                "queued": self._conversation.queued,
            },
        }

    def expired(self, now: float) -> str | None:
        """Why nobody needs this session any more (now: monotonic seconds), or None."""
        frame_at = self.feed.last_frame_at
        return self.attendance.expired(now, len(self._broadcast), frame_at, self.offers.heard_at)

    def tick(self, now: float) -> None:
        """Tells the frame counters from time to time, where they have changed, and ends answers
        that were lost."""
        self._conversation.tick(now)
        self.cameras.tick(now)

    def owned(self, worker: str | None, now: float) -> None:
        """Who has the lease, None for nobody (now: monotonic seconds)."""
        back = self.tenure.seen(worker, now)
        if back is not None:
            self._moved(back)

    async def close(self, reason: str, message: str) -> None:
        """Frees the memory first, then everything else; tells whoever listens."""
        if self._closed:
            return
        self._closed = True
        try:
            await send(self._broker, CloseSession(self.id))
            await stop(*self._tasks)  # before the ring is deleted, or a last frame revives it
            await Line(self._broker).leave(self.id)
        except (ServiceError, RedisError) as error:
            await stop(*self._tasks)
            # The worker frees the memory by itself once the alive key has run out.
            log.warning("session %s: the worker was not told of its end: %s", self.name, error)
        self._conversation.fail(f"The session was closed: {message}")
        self._broadcast.publish(
            {"type": "lookback.session.closed", "reason": reason, "message": message}
        )
        self._broadcast.end()
        await self.cameras.close()

    async def leave_to_another(self) -> None:
        """Ends here what another gateway takes over; the memory stays."""
        if self._closed:
            return
        self._closed = True
        await stop(*self._tasks)
        self._broadcast.end(leaving=True)
        await self.cameras.close()

    async def export(self, option: Option) -> AsyncGenerator[bytes, None]:
        """The memory, as it is now, as a file in pieces. Raises ServiceError."""
        download = Download(self._broker, self._settings.open_seconds)
        await self._send(SaveSession(self.id, download.channel, option))
        async with contextlib.aclosing(download.pieces()) as pieces:
            async for piece in pieces:
                yield piece

    async def _send(self, message: ToWorker) -> bytes:
        return await send(self._broker, message)

    @property
    def unread(self) -> Unread:
        """Questions that its worker may not have read."""
        return self._conversation.unread

    def ask_again(self, ask: Ask) -> None:
        """The broker has forgotten this question."""
        log.warning("session %s: the broker has lost a question: it is sent again", self.name)
        self._conversation.again(ask)

    # What the worker says.

    def _hear_worker(self, entry: bytes, message: ToGateway) -> None:
        self._broadcast.at(entry)
        match message:
            case AnswerStarted():
                self._conversation.started(message)
            case AnswerDelta():
                self._conversation.delta(message)
            case AnswerDone():
                self._conversation.done(message)
            case MemoryStatus():
                if message.frames_seen > self.cameras.frames_told:
                    self.cameras.tell()  # a frame is told to be sent before it is to be seen
                self._memory.update(message)
                if message.frames_seen:
                    self._conversation.seen(message.frames_seen + message.frames_dropped)
            case MemoryDescribed():
                self._memory.described(message)
            case FrameRejected():
                self._frame_rejected(message.message)
            case SessionMoved():
                self._observer.moved(restored=message.restored)
                self._moved(message)
            case SessionClosed():
                self._ended(message.reason, message.message or "The worker closed the session.")

    def _moved(self, moved: SessionMoved) -> None:
        if not moved.questions:
            self._conversation.interrupted(
                "The worker stopped before this was answered: ask again."
            )
        if not moved.restored:
            self._memory.forget()
        self.tenure.moved(moved)
