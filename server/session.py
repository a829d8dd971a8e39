"""One session: a memory on a worker, its camera, its conversation, and who listens.

Knows nothing about HTTP.
"""

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from redis.exceptions import RedisError

from messages import keys
from messages.answers import AnswerDelta, AnswerDone, AnswerStarted
from messages.codec import ToGateway, ToWorker, encode
from messages.frames import FrameRejected
from messages.memory import MemoryDescribed
from messages.sessions import (
    CloseSession,
    MemoryStatus,
    OpenSession,
    SessionClosed,
    SessionOpened,
)
from messages.workers import WorkerCard
from server.attendance import Attendance
from server.broadcast import Broadcast, Event, Subscription
from server.camera import Camera
from server.cameras import Cameras, Publisher
from server.conversation import Conversation
from server.errors import ClientError, ServiceError, broker_unavailable, unknown_session
from server.events import (
    ClientEvent,
    ItemCreate,
    MemoryDescribe,
    ResponseCancel,
    ResponseCreate,
    SessionUpdate,
)
from server.feed import FrameFeed
from server.memory import Memory
from server.pictures import Pictures
from server.reports import Reports
from server.settings import GatewaySettings
from server.tasks import stop

log = logging.getLogger(__name__)

T = TypeVar("T")


async def send(broker: Any, message: ToWorker) -> None:
    """Writes to the worker's control stream. Raises ServiceError."""
    entry = {keys.FIELD: encode(message)}
    try:
        await broker.xadd(keys.CONTROL, entry, maxlen=keys.CONTROL_LENGTH, approximate=False)
    except RedisError as error:
        raise broker_unavailable(error) from error


class Session:
    """ended: is called with a reason and a message when the worker says that the memory is gone.

    opened_at: the broker's id of the SessionOpened entry, after which this session reads on.
    """

    def __init__(
        self,
        wanted: OpenSession,
        opened: SessionOpened,
        opened_at: bytes,
        card: WorkerCard,
        settings: GatewaySettings,
        broker: Any,
        ended: Callable[[str, str], None],
    ) -> None:
        self.id = opened.session
        self.name = self.id[:8]
        """For logs: whoever has the whole id may use the session."""
        self.wanted = wanted
        self.opened = opened
        self.worker = card.worker
        self.owner: str | None = None
        """The API key that made it, by its id: it is there for no other."""
        self._settings = settings
        self._broker = broker
        self._ended = ended
        self._broadcast = Broadcast()
        self._conversation = Conversation(self.id, settings, self._broadcast.publish, self._send)
        self._memory = Memory(self.id, self._broadcast.show, self._send)
        self.feed = FrameFeed(
            self.id, settings, broker, card.frame_size, card.max_pixels, self._frame_rejected
        )
        self._pictures = Pictures(self.feed, settings)
        self.cameras = Cameras(self.id, self.feed, self._broadcast.show)
        self._sender: Camera | None = None  # by WHIP: it may come back, until it says goodbye
        self.attendance = Attendance(settings)
        self._closed = False
        reports = Reports(self.id, broker, opened_at, self._hear_worker)
        self._tasks = [
            asyncio.create_task(reports.run(), name=f"events of {self.name}"),
            asyncio.create_task(self.feed.run(), name=f"frames of {self.name}"),
            asyncio.create_task(self._conversation.run(), name=f"questions of {self.name}"),
            asyncio.create_task(self._memory.run(), name=f"descriptions of {self.name}"),
        ]

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
        self._conversation.forget(subscription)
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
                self._conversation.checked(client, event)
                pictures = await self._pictures.show(event.item.pictures)
                self._conversation.add(client, event, pictures)
            case ResponseCreate():
                self._agree(event.response.instructions, "response.instructions")
                unseen, frames = self._unseen(), self._pictures.frames
                return self._conversation.respond(client, event, unseen, frames)
            case ResponseCancel():
                self._conversation.cancel(event)
            case MemoryDescribe():
                self._memory.describe()
            case SessionUpdate():
                self._agree(event.session.instructions, "session.instructions")
                if event.session.max_output_tokens is not None:
                    self._conversation.limit(client, event.session.max_output_tokens)
                told = self._realtime(client)
                self.tell(client, {"type": "session.updated", "session": told})
        return None

    def cancel(self, response: str) -> None:
        """Stops a response; one that has ended is left alone."""
        with contextlib.suppress(ClientError):
            self._conversation.cancel(ResponseCancel(response))

    def _agree(self, instructions: str | None, param: str) -> None:
        """Raises ClientError where these are not the session's instructions."""
        if instructions is not None and instructions.strip() != (self.wanted.instructions or ""):
            raise ClientError(
                "session_fixed",
                "A session's instructions are fixed when it is made: give them to "
                "POST /v1/sessions, and leave them out here.",
                param=param,
            )

    def _unseen(self) -> ClientError | None:
        """Why nothing can be answered yet; None once a frame is on its way to the model."""
        # The worker may report a frame before the broker has confirmed it to us.
        if self._memory.frames_seen or self.feed.counters.frames_sent:
            return None
        message = f"No picture has arrived yet: {self.cameras.advice}."
        return ClientError("no_frames_yet", message)

    # The camera.

    async def watch(self, sdp: str, *, returning: bool = False) -> tuple[Camera, str]:
        """Answers a camera's offer; the new camera replaces the one before. returning: it says
        goodbye, and where it has not, it may come back. Raises ClientError."""
        camera = Camera(self.feed, self._settings, lambda: self.cameras.changed(camera))
        answer = await self.publish(camera, lambda: camera.answer(sdp))
        self._sender = camera if returning else None
        return camera, answer

    async def publish(self, publisher: Publisher, begin: Callable[[], Awaitable[T]]) -> T:
        """What `begin` returns, once this publisher is the session's camera. Raises what `begin`
        raises, and ClientError."""
        begun = await self.cameras.replace(publisher, begin)
        self.attendance.came()
        return begun

    def sender(self, identity: str) -> Camera:
        """The WHIP camera with this id. Raises ClientError (404) where it is not here."""
        sender = self._sender
        if (
            sender is None
            or not secrets.compare_digest(sender.id.encode(), identity.encode("utf-8", "replace"))
            or sender.state == "gone"
        ):
            raise ClientError(
                "unknown_camera",
                "There is no such camera: it has ended, or another one took its place.",
                status=404,
            )
        return sender

    async def dismiss(self, identity: str) -> None:
        """A WHIP camera says goodbye. Raises ClientError (404)."""
        sender = self.sender(identity)
        self._sender = None
        await sender.close("its sender ended it")

    @property
    def watching(self) -> bool:
        """Whether a camera is connected, or connecting."""
        return self.cameras.busy

    def _frame_rejected(self, message: str) -> None:
        self._broadcast.publish({"type": "lookback.frame.rejected", "message": message})

    # Its life.

    def described(self) -> dict[str, Any]:
        """What a client may know when the session begins."""
        return {
            "id": self.id,
            "object": "realtime.session",
            "model": self.opened.model,
            "budget_tokens": self.opened.budget_tokens,
            "cap_tokens": self.opened.cap_tokens,
            "kv_bytes": self.opened.kv_bytes,
            "instructions": self.wanted.instructions,
        }

    def _realtime(self, client: Subscription | None) -> dict[str, Any]:
        """The session as the Realtime API shows it, to this client."""
        ours = self.described()
        return {
            "id": ours.pop("id"),
            "object": ours.pop("object"),
            "type": "realtime",
            "model": ours.pop("model"),
            "instructions": ours.pop("instructions"),
            "output_modalities": ["text"],
            "max_output_tokens": self._conversation.longest(client),
            "lookback": ours,
        }

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
        sender_at = self._sender.heard_at if self._sender else None
        frame_at = self.feed.last_frame_at
        return self.attendance.expired(now, len(self._broadcast), frame_at, sender_at)

    def tick(self, now: float) -> None:
        """Tells the frame counters from time to time, where they have changed, and ends answers
        that were lost."""
        self._conversation.tick(now)
        self.cameras.tick(now)

    async def close(self, reason: str, message: str) -> None:
        """Frees the memory first, then everything else; tells whoever listens."""
        if self._closed:
            return
        self._closed = True
        try:
            await send(self._broker, CloseSession(self.id))
            await stop(*self._tasks)  # before the ring is deleted, or a last frame revives it
            await self._broker.delete(keys.alive(self.id), keys.frames(self.id))
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

    async def _send(self, message: ToWorker) -> None:
        await send(self._broker, message)

    # What the worker says.

    def _hear_worker(self, message: ToGateway) -> None:
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
            case SessionClosed():
                self._ended(message.reason, message.message or "The worker closed the session.")
