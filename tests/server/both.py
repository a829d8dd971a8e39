"""A conversation between two lists: what clients are told, and what the worker is sent."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from messages.answers import AnswerDone, AnswerStarted, Span
from messages.questions import Ask, Cancel
from server.conversation import Conversation
from server.errors import broker_unavailable
from server.events import (
    InputText,
    ItemCreate,
    ResponseCancel,
    ResponseCreate,
    ResponseOptions,
    UserMessage,
)
from server.settings import GatewaySettings
from server.tasks import stop


def item(text: str) -> ItemCreate:
    return ItemCreate(UserMessage("user", [InputText(text)]))


class Both:
    """A conversation between two lists, whose sender runs until the broker is taken away."""

    def __init__(self, **settings: Any) -> None:
        self.told: list[dict[str, Any]] = []
        self.sent: list[Ask | Cancel] = []
        self.reachable = True
        self.open = asyncio.Event()
        self.open.set()
        self.conversation = Conversation("s", GatewaySettings(**settings), self._tell, self._send)

    def _tell(self, event: dict[str, Any]) -> str:
        self.told.append(event)
        return f"event_{len(self.told)}"

    async def _send(self, message: Ask | Cancel) -> bytes:
        await self.open.wait()
        if not self.reachable:
            raise broker_unavailable("gone")
        self.sent.append(message)
        return f"{len(self.sent)}-0".encode()

    async def ask(self, *texts: str, client: str = "me", **options: Any) -> str:
        """The id of the response, when all that can be sent is sent."""
        for text in texts:
            self.conversation.questions.add(client, item(text))
        self.conversation.respond(client, ResponseCreate(ResponseOptions(**options)))
        await self.settled()
        created: str = [e for e in self.told if e["type"] == "response.created"][-1]["response"][
            "id"
        ]
        return created

    async def settled(self) -> None:
        for _ in range(20):
            await asyncio.sleep(0)

    async def cancel(self, response: str | None = None) -> None:
        self.conversation.cancel(ResponseCancel(response))
        await self.settled()

    def begin(self, response: str) -> None:
        self.conversation.started(AnswerStarted("s", response, Span(0.0, 2.0, 0.1), 3, 1))

    def end(self, response: str, status: Any = "completed", text: str = "") -> None:
        self.conversation.done(AnswerDone("s", response, status, text))

    def ended(self) -> list[tuple[str, str]]:
        return [
            (event["response"]["id"], event["response"]["status"])
            for event in self.told
            if event["type"] == "response.done"
        ]

    def why(self) -> str:
        """Why the last response failed."""
        [*_, last] = [e["response"] for e in self.told if e["type"] == "response.done"]
        message: str = last["status_details"]["message"]
        return message


@contextlib.asynccontextmanager
async def talking(*, seen: bool = True, **settings: Any) -> AsyncIterator[Both]:
    both = Both(**settings)
    if seen:
        both.conversation.seen()
    task = asyncio.create_task(both.conversation.run())
    try:
        yield both
    finally:
        assert not task.done(), "the sender failed"
        await stop(task)
