"""Questions and answers of one session, as Realtime events. Every response that is created ends
exactly once, whatever becomes of the worker, the broker and the asker.

Questions go to the worker as they come; it answers a session's in order, each from the memory as
it was when asked. Knows nothing about websockets or the broker: it is given two functions that
reach them.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable

from msgspec.structs import replace

from messages.answers import AnswerDelta, AnswerDone, AnswerStarted
from messages.questions import Ask, Cancel
from server.broadcast import Event
from server.errors import ClientError, ServiceError
from server.events import ResponseCancel, ResponseCreate
from server.observer import Observer
from server.outbox import Outbox
from server.pace import Pace
from server.questions import Questions
from server.response import Response, item_status, new_id
from server.settings import GatewaySettings
from server.unread import Unread


class Conversation:
    """publish: tells the clients; returns the event's id. send: reaches the worker, or raises
    ServiceError; returns where the message stands on the broker.

    observer: notes what becomes of answers. A client is whatever tells one asker from another:
    what one has asked is not answered to another's response.create.
    """

    def __init__(
        self,
        session: str,
        settings: GatewaySettings,
        publish: Callable[[Event], str],
        send: Callable[[Ask | Cancel], Awaitable[bytes]],
        observer: Observer | None = None,
    ) -> None:
        self._observer = observer or Observer()
        self._session = session
        self._settings = settings
        self._publish = publish
        self._send = send
        self.questions = Questions(settings, publish)
        self._unfinished: dict[str, Response] = {}  # in the order in which they were asked
        self.unread = Unread()
        self._outbox = Outbox(self._unfinished.__contains__)
        self._seen = asyncio.Event()
        self._pace = Pace()
        self._heard_at = 0.0  # when the worker last said something of an answer, or had none

    @property
    def running(self) -> str | None:
        """The id of the response being written, or the next to be."""
        return next(iter(self._unfinished), None)

    @property
    def queued(self) -> int:
        """How many wait behind it."""
        return max(0, len(self._unfinished) - 1)

    # What clients want.

    def admit(self) -> None:
        """Raises ClientError (429) where as many questions wait as may: with how many come before,
        and when they will have been answered."""
        ahead = len(self._unfinished)
        if ahead > self._settings.queued_questions:
            retry_after = self._pace.retry_seconds(ahead)
            raise ClientError(
                "too_many_questions",
                f"{self.queued} questions wait already: ask again in {retry_after:.0f} s.",
                status=429,
                retry_after=retry_after,
                lookback={"queue_position": ahead, "retry_after_seconds": round(retry_after, 1)},
            )

    def respond(
        self,
        client: Hashable,
        event: ResponseCreate,
        unseen: ClientError | None = None,
        frames: int = 0,
    ) -> str:
        """Answers what this client has asked, as soon as the worker comes to it, and has told of
        so many frames. Returns the response's id.

        unseen: why nothing can be known yet. It is raised, as is a ClientError where nothing was
        asked or too many questions wait.
        """
        text = self.questions.take(client)
        if unseen is not None:
            raise unseen
        self.admit()
        options = event.response
        ask = Ask(
            session=self._session,
            response=new_id("resp"),
            text=text,
            max_tokens=self.questions.longest(client, options.max_output_tokens),
            temperature=options.temperature,
            top_p=options.top_p,
            seed=options.seed,
            stop=tuple(options.stop or ()),
            metadata=options.metadata,
        )
        asked = self._observer.asked(ask)
        response = Response(replace(ask, trace=asked.trace), asked)
        response.ask = replace(response.ask, told=self._create(response))
        self._outbox.ask(response.ask, frames, self._settings.first_frame_seconds)
        return response.id

    def recall(self, ask: Ask, entry: bytes) -> None:
        """Another gateway has sent this question to the worker."""
        response = Response(ask)
        response.sent = True
        self._create(response)
        self.unread.wrote(ask, entry)

    def again(self, ask: Ask) -> None:
        """The worker may not have read this question: it is sent once more. One that has read it
        answers it once, or says that the answer was lost."""
        if ask.response in self._unfinished:
            self._outbox.ask(ask, 0, 0.0)

    def _create(self, response: Response) -> str:
        ahead = len(self._unfinished)
        if not ahead:
            self._heard_at = time.monotonic()
        self._unfinished[response.id] = response
        created = response.body("in_progress")
        created["lookback"]["queue_position"] = ahead
        event: Event = {"type": "response.created", "response": created}
        if response.ask.told is not None:  # the same event as at the gateway that it was asked at
            event["event_id"] = response.ask.told
        return self._publish(event)

    def cancel(self, event: ResponseCancel) -> None:
        """Stops a response: withdrawn where it waits, within a token where it is being written.
        Raises ClientError where there is none such."""
        wanted = event.response_id or self.running
        if wanted is None:
            raise ClientError("response_cancel_not_active", "No response is being written.")
        response = self._unfinished.get(wanted)
        if response is None:
            raise ClientError(
                "response_cancel_not_active",
                "That response has ended, or there was none with this id.",
                param="response_id",
            )
        if response.sent:
            self._outbox.cancel(Cancel(self._session, wanted))
        else:
            self._finish(response, "cancelled")

    # What the worker hears.

    async def run(self) -> None:
        """Sends questions in order, from when the worker has seen a frame, until cancelled.

        Not the asker's own task, which ends with its connection, in the middle of sending.
        """
        await self._seen.wait()
        while True:
            message = await self._outbox.next()
            response = self._unfinished.get(message.response)
            if response is not None and isinstance(message, Ask):
                response.sent = True
            try:
                entry = await self._send(message)
                if isinstance(message, Ask) and message.response in self._unfinished:
                    self.unread.wrote(message, entry)
            except ServiceError as error:
                if response is None or response.id not in self._unfinished:
                    continue
                if isinstance(message, Ask):
                    self._fail(response, error.message)
                else:  # whoever wanted no more of it gets no more of it
                    self._finish(response, "cancelled")

    def tick(self, now: float) -> None:
        """Ends a response about which nothing is heard any more (now: monotonic seconds):
        the broker has lost the question, or the answer."""
        response = self._unfinished.get(self.running or "")
        if response is None:
            return
        silence = now - self._heard_at
        if not self._seen.is_set() and silence > self._settings.first_frame_seconds:
            self._fail(
                response,
                "The camera's pictures have not reached the model: see whether it still sends, "
                "and ask again.",
            )
        elif silence > self._settings.answer_seconds:
            self._fail(response, "The model worker is silent: ask again.")
            self._outbox.cancel(Cancel(self._session, response.id))
            self._heard_at = now  # so that the next one has its time, too

    # What the worker says.

    def seen(self, frames: int = 1) -> None:
        """A frame has reached memory; of so many, seen or dropped, the worker has told."""
        self._seen.set()
        self._outbox.told(frames)

    def started(self, message: AnswerStarted) -> None:
        """The worker has read the question and is about to write."""
        response = self._found(message.response)
        if response is None:
            return
        for before in list(self._unfinished.values()):
            if before is response:
                break
            # Answers are written in order, so the end of this one was lost on its way.
            self._fail(before, "The end of this answer was lost: ask again.")
        response.started = message
        self._open(response)

    def delta(self, message: AnswerDelta) -> None:
        """The worker has written a piece."""
        response = self._found(message.response)
        if response is None or message.index < response.pieces:
            return  # the broker's client sends again what it is not sure of
        self._open(response)
        response.pieces = message.index + 1
        response.text += message.text
        if response.asked is not None:
            self._observer.first(response.asked)
        self._publish(
            {"type": "response.output_text.delta", **response.place(), "delta": message.text}
        )

    def done(self, message: AnswerDone) -> None:
        """The worker has ended an answer, or withdrawn a question."""
        response = self._found(message.response)
        if response is None:
            return
        response.text = message.text or response.text
        if response.opened:  # and not withdrawn, which takes no time
            self._pace.ended(response.asked_at)
        self._finish(response, message.status, message)

    def interrupted(self, message: str) -> None:
        """The worker is lost with what it was asked; what it was not asked yet goes to the next."""
        for response in list(self._unfinished.values()):
            if response.sent:
                self._fail(response, message)

    def fail(self, message: str) -> None:
        """Ends all that runs or waits: the session is going."""
        for response in list(self._unfinished.values()):
            self._fail(response, message)

    def _found(self, response: str) -> Response | None:
        """One that has not ended; then the worker is at work."""
        found = self._unfinished.get(response)
        if found is not None:
            self._heard_at = time.monotonic()
        return found

    def _open(self, response: Response) -> None:
        if response.opened:
            return
        response.opened = True
        self._publish(
            {
                "type": "lookback.response.started",
                "response_id": response.id,
                "lookback": response.lookback(),
            }
        )
        where = {"response_id": response.id, "output_index": 0}
        item = response.output("in_progress")
        self._publish({"type": "response.output_item.added", **where, "item": item})
        part = {"type": "text", "text": ""}
        self._publish({"type": "response.content_part.added", **response.place(), "part": part})

    def _fail(self, response: Response, message: str) -> None:
        done = AnswerDone(self._session, response.id, "failed", message=message)
        self._finish(response, "failed", done)

    def _finish(self, response: Response, status: str, done: AnswerDone | None = None) -> None:
        del self._unfinished[response.id]
        self.unread.answered(response.id)
        if response.asked is not None:
            self._observer.ended(response.asked, status, response.text, done)
        if status == "completed":
            self._open(response)
        if response.opened:
            place, part = response.place(), {"type": "text", "text": response.text}
            text = {"type": "response.output_text.done", **place, "text": response.text}
            self._publish(text)
            self._publish({"type": "response.content_part.done", **place, "part": part})
            self._publish(
                {
                    "type": "response.output_item.done",
                    "response_id": response.id,
                    "output_index": 0,
                    "item": response.output(item_status(status)),
                }
            )
        self._publish({"type": "response.done", "response": response.body(status, done)})
