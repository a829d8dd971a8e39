"""One session: a memory on a worker, its camera, its conversation, and who listens.

Knows nothing about HTTP.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any

from redis.exceptions import RedisError

from broker.connection import BLOCK_MILLISECONDS
from messages import keys
from messages.answers import AnswerDelta, AnswerDone, AnswerStarted
from messages.codec import MalformedMessage, ToGateway, ToWorker, decode_to_gateway, encode
from messages.frames import FrameRejected
from messages.questions import Ask, Cancel
from messages.sessions import CloseSession, MemoryStatus, SessionClosed, SessionOpened
from messages.workers import WorkerCard
from server.broadcast import Broadcast, Event, Subscription
from server.camera import Camera
from server.conversation import Conversation
from server.errors import ClientError, ServiceError, broker_unavailable, unknown_session
from server.events import ClientEvent, ItemCreate, ResponseCreate
from server.feed import FrameFeed
from server.settings import GatewaySettings
from server.tasks import stop

log = logging.getLogger(__name__)

_COUNTERS_SECONDS = 1.0
_RECONNECT_SECONDS = 0.5


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
        self.opened = opened
        self.worker = card.worker
        self._settings = settings
        self._broker = broker
        self._ended = ended
        self._read_to = opened_at
        self._broadcast = Broadcast()
        self._conversation = Conversation(self.id, settings, self._broadcast.publish, self._send)
        self._feed = FrameFeed(
            self.id, settings, broker, card.frame_size, card.max_pixels, self._frame_rejected
        )
        self._camera: Camera | None = None
        self._camera_lock = asyncio.Lock()
        self._memory: MemoryStatus | None = None
        self._created_at = self._left_at = self._asked_at = time.monotonic()
        self._attached = False
        self._counted: tuple[float, dict[str, int]] = (self._created_at, self._feed.counted())
        self._closed = False
        self._tasks = [
            asyncio.create_task(self._read(), name=f"events of {self.name}"),
            asyncio.create_task(self._feed.run(), name=f"frames of {self.name}"),
        ]

    # Who listens.

    def join(self, after: str | None) -> Subscription:
        """A websocket joins; `after` is the id of the last event that it has."""
        self._attached = True
        subscription = self._broadcast.subscribe(
            {"type": "session.created", "session": self.described()}, after
        )
        for event in (self._memory_event(), self._camera_event()):
            if event is not None:
                subscription.put(self._broadcast.numbered(event))
        return subscription

    def leave(self, subscription: Subscription) -> None:
        """A websocket is gone."""
        self._broadcast.unsubscribe(subscription)
        self._left_at = time.monotonic()

    def tell(self, subscription: Subscription, event: Event) -> None:
        """To one websocket only."""
        subscription.put(self._broadcast.numbered(event))

    async def hear(self, event: ClientEvent) -> None:
        """What a client said. Raises ClientError."""
        self._asked_at = time.monotonic()
        if isinstance(event, ItemCreate):
            self._conversation.add(event)
        elif isinstance(event, ResponseCreate):
            # The worker may report a frame before the broker has confirmed it to us.
            known = self._memory is not None and self._memory.frames_seen > 0
            await self._conversation.respond(
                event, seen=known or self._feed.counters.frames_sent > 0
            )
        else:
            await self._conversation.cancel(event)

    # The camera.

    async def watch(self, sdp: str) -> str:
        """Answers a camera's offer; the new camera replaces the one before.
        Raises ClientError."""
        async with self._camera_lock:
            camera = Camera(self._feed, self._settings, lambda: self._camera_changed(camera))
            answer = await camera.answer(sdp)
            if self._closed:
                await camera.close()
                raise unknown_session(self.id)
            before, self._camera = self._camera, camera
            self._attached = True
            self._left_at = time.monotonic()  # it has as long to connect as a client to return
            if before is not None:
                await before.close()
            self._camera_changed(camera)
        return answer

    def _camera_changed(self, camera: Camera) -> None:
        if camera is self._camera:
            self._tell_counters()

    def _tell_counters(self) -> None:
        event = self._camera_event()
        if event is not None:
            self._broadcast.publish(event)

    def _camera_event(self) -> Event | None:
        if self._camera is None:
            return None
        self._counted = (time.monotonic(), self._feed.counted())
        return {"type": "lookback.camera.updated", "camera": self._camera_described()}

    def _camera_described(self) -> dict[str, Any]:
        camera = self._camera
        state = camera.state if camera else "none"
        return {"state": state, "message": camera.why if camera else "", **self._feed.counted()}

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
        }

    def state(self) -> dict[str, Any]:
        """What a client may know at any time."""
        memory = self._memory_event()
        return {
            **self.described(),
            "memory": memory and memory["memory"],
            "camera": self._camera_described(),
            "websockets": len(self._broadcast),
            "responses": {
                "running": self._conversation.running,
                "queued": self._conversation.queued,
            },
        }

    def expired(self, now: float) -> str | None:
        """Why nobody needs this session any more (now: monotonic seconds), or None.

        A killed browser's connection still looks alive for half a minute, so what counts is the
        last frame, not the state of the connection.
        """
        frame_at = self._feed.last_frame_at or self._created_at
        if not self._attached:
            if now - self._created_at > self._settings.idle_seconds:
                return "Nobody joined it."
        elif len(self._broadcast) == 0:
            if now - max(self._left_at, frame_at) > self._settings.orphan_seconds:
                return "Its last client and its camera have gone."
        elif now - max(frame_at, self._asked_at) > self._settings.quiet_seconds:
            return "Nothing was seen or asked for too long."
        return None

    def tick(self, now: float) -> None:
        """Tells the frame counters from time to time, where they have changed."""
        at, counted = self._counted
        if now - at >= _COUNTERS_SECONDS and self._feed.counted() != counted:
            self._tell_counters()

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
        async with self._camera_lock:
            if self._camera is not None:
                await self._camera.close()

    async def _send(self, message: Ask | Cancel) -> None:
        await send(self._broker, message)

    # What the worker says.

    async def _read(self) -> None:
        key = keys.events(self.id)
        while True:
            try:
                reply = await self._broker.xread(
                    {key: self._read_to}, count=256, block=BLOCK_MILLISECONDS
                )
            except RedisError as error:
                log.warning("session %s: the broker does not answer: %s", self.name, error)
                await asyncio.sleep(_RECONNECT_SECONDS)
                continue
            for _, entries in reply:
                for entry, fields in entries:
                    self._read_to = entry
                    try:
                        message = decode_to_gateway(fields.get(keys.FIELD, b""))
                    except MalformedMessage as error:
                        log.warning("session %s: an event cannot be read: %s", self.name, error)
                        continue
                    await self._hear_worker(message)

    async def _hear_worker(self, message: ToGateway) -> None:
        match message:
            case AnswerStarted():
                self._conversation.started(message)
            case AnswerDelta():
                self._conversation.delta(message)
            case AnswerDone():
                await self._conversation.done(message)
            case MemoryStatus():
                self._memory = message
                if message.frames_seen > self._counted[1]["frames_sent"]:
                    self._tell_counters()  # a frame is told to be sent before it is to be seen
                event = self._memory_event()
                assert event is not None
                self._broadcast.publish(event)
            case FrameRejected():
                self._frame_rejected(message.message)
            case SessionClosed():
                self._ended(message.reason, message.message or "The worker closed the session.")

    def _memory_event(self) -> Event | None:
        status = self._memory
        if status is None:
            return None
        captured = status.newest_captured_at
        memory = {
            "tokens": status.tokens,
            "peak_tokens": status.peak_tokens,
            "cap_tokens": status.cap_tokens,
            "kv_bytes": status.kv_bytes,
            "frames_seen": status.frames_seen,
            "frames_dropped": status.frames_dropped,
            "compressions": status.compressions,
            "span": status.span,
            "newest_frame_age": None if captured is None else max(0.0, time.time() - captured),
        }
        return {"type": "lookback.memory.updated", "memory": memory}


def error_event(error: ClientError, event_id: str | None) -> Event:
    """The error as an event about the client's event `event_id`."""
    return {"type": "error", "error": {**error.body(), "event_id": event_id}}
