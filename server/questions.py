"""What each client has asked and not yet wanted answered, and how long its answers may be."""

from collections.abc import Callable, Hashable, Sequence
from typing import Any, Literal

from server.broadcast import Event
from server.errors import ClientError
from server.events import ItemCreate
from server.response import new_id
from server.settings import GatewaySettings


class Questions:
    """Of one session. publish: tells the clients. A client is whatever tells one asker from
    another."""

    def __init__(self, settings: GatewaySettings, publish: Callable[[Event], object]) -> None:
        self._settings = settings
        self._publish = publish
        self._asked: dict[Hashable, list[str]] = {}
        self._limits: dict[Hashable, int | Literal["inf"]] = {}

    def checked(self, client: Hashable, event: ItemCreate) -> str:
        """The question's text. Raises ClientError where it is empty or too long."""
        text = event.item.text
        if not text and not event.item.pictures:
            raise ClientError("empty_question", "The question is empty.", param="item.content")
        limit = self._settings.question_characters
        length = len("\n".join([*self._asked.get(client, []), text]))
        if length > limit:
            raise ClientError(
                "question_too_long",
                f"The question has {length} characters; ask in at most {limit}.",
                param="item.content",
            )
        return text

    def add(
        self, client: Hashable, event: ItemCreate, pictures: Sequence[dict[str, Any]] = ()
    ) -> None:
        """Takes a question. pictures: what is told of those that came with it. Raises
        ClientError as `checked` does."""
        text = self.checked(client, event)
        content: list[dict[str, Any]] = [*pictures]
        if text:
            self._asked.setdefault(client, []).append(text)
            content.append({"type": "input_text", "text": text})
        item = {
            "id": event.item.id or new_id("item"),
            "object": "realtime.item",
            "type": "message",
            "status": "completed",
            "role": "user",
            "content": content,
        }
        self._publish({"type": "conversation.item.added", "item": item})
        self._publish({"type": "conversation.item.done", "item": item})

    def limit(self, client: Hashable, tokens: int | Literal["inf"]) -> None:
        """The length at most of answers for which this client asks for no other."""
        self._limits[client] = tokens

    def longest(self, client: Hashable, wanted: int | Literal["inf"] | None = None) -> int:
        """How many tokens an answer to this client may have, where it wants so many."""
        wanted = wanted or self._limits.get(client, self._settings.answer_tokens)
        longest = self._settings.longest_answer_tokens
        return longest if wanted == "inf" else min(wanted, longest)

    def take(self, client: Hashable) -> str:
        """All that it has asked since it was answered last. Raises ClientError where that is
        nothing."""
        text = "\n".join(self._asked.pop(client, []))
        if not text:
            raise ClientError(
                "no_question",
                "Nothing was asked: send a conversation.item.create before response.create.",
            )
        return text

    def forget(self, client: Hashable) -> None:
        """The client is gone; what it wanted answered is answered all the same."""
        self._asked.pop(client, None)
        self._limits.pop(client, None)
