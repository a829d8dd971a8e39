"""Questions that have no answer yet, and which of the session's answers belong to them.

Knows nothing about the connection, but that it may be cut at any moment: what was sent may have
arrived or not.
"""

import asyncio
import secrets
from collections.abc import Callable
from typing import Any, Final

from lookback_client.answer import Answer
from lookback_client.errors import LookbackError, Unreachable

Event = dict[str, Any]
_KEY: Final = "lookback_client"
# The gateway ends an answer of which it has heard nothing for two minutes.
SILENT_SECONDS: Final = 180.0


class _Asked:
    """connection: the number of the one by which the question was last sent, 0 for none."""

    def __init__(self, answer: Answer, events: list[Event]) -> None:
        self.answer = answer
        self.events = events
        self.text = answer.question.strip()
        self.connection = 0
        self.cancelled = False


class Questions:
    """send: hands events to the present connection, whose number it returns; 0 where there is
    none."""

    def __init__(self, send: Callable[[list[Event]], int]) -> None:
        self._send = send
        self._asked: dict[str, _Asked] = {}
        self._heard_at = 0.0

    def ask(self, answer: Answer, item: Event, options: Event) -> None:
        """Sends the question; what comes of it is told to `answer`."""
        key = secrets.token_urlsafe(12)
        self._heard_at = asyncio.get_running_loop().time()
        asked = self._asked[key] = _Asked(
            answer,
            [
                {"type": "conversation.item.create", "event_id": key, "item": item},
                {
                    "type": "response.create",
                    "event_id": key,
                    "response": {**options, "metadata": {_KEY: key}},
                },
            ],
        )
        asked.connection = self._send(asked.events)

    def cancel(self, answer: Answer) -> None:
        """Have no more of it written."""
        for key, asked in list(self._asked.items()):
            if asked.answer is answer and not asked.cancelled:
                asked.cancelled = True
                if answer.id:
                    self._stop(answer.id)
                elif asked.connection == 0:
                    self._withdraw(key)
                # Otherwise it is stopped when its name is known.

    def take(self, event: Event) -> None:
        """An event about one of the session's answers, ours or not."""
        self._heard_at = asyncio.get_running_loop().time()
        response = event.get("response", {})
        identity = response.get("id") or event.get("response_id", "")
        if event["type"] == "response.created":
            asked = self._asker(response)
            if asked is not None and not asked.answer.id:
                asked.answer._take(event)
            if asked is not None and (asked.cancelled or asked.answer.id != identity):
                # It is not wanted any more; or it had arrived after all, and was asked twice.
                self._stop(identity)
            return
        for key, asked in list(self._asked.items()):
            if asked.answer.id == identity:
                asked.answer._take(event)
                if asked.answer.done:
                    del self._asked[key]

    def caught_up(self, connection: int) -> None:
        """All that was missed has been heard: what has not arrived by the connections before will
        not arrive."""
        for key, asked in list(self._asked.items()):
            if asked.connection == connection:
                continue
            if asked.answer.id:
                if asked.cancelled:
                    self._stop(asked.answer.id)
            elif asked.cancelled:
                self._withdraw(key)
            else:
                asked.connection = self._send(asked.events)

    def refuse(self, key: str, error: LookbackError) -> bool:
        """Whether the question with this key waited; it has failed."""
        asked = self._asked.pop(key, None)
        if asked is not None:
            asked.answer._fail(error)
        return asked is not None

    def fail(self, error: LookbackError) -> None:
        """Nothing more comes."""
        for key in list(self._asked):
            self.refuse(key, error)

    def tick(self) -> None:
        """Forgets answers that have ended, and fails those of which nothing is heard."""
        for key, asked in list(self._asked.items()):
            if asked.answer.done:
                del self._asked[key]
        if asyncio.get_running_loop().time() - self._heard_at > SILENT_SECONDS:
            self.fail(Unreachable("Nothing is heard of this answer: ask again.", code="silent"))

    def _asker(self, response: Event) -> _Asked | None:
        metadata = response.get("metadata")
        if metadata is not None:
            return self._asked.get(metadata.get(_KEY, ""))
        # A gateway that has taken the session over knows the questions, but not their metadata.
        question = response.get("lookback", {}).get("question")
        for asked in self._asked.values():
            if asked.connection and not asked.answer.id and asked.text == question:
                return asked
        return None

    def _stop(self, response: str) -> None:
        self._send([{"type": "response.cancel", "response_id": response}])

    def _withdraw(self, key: str) -> None:
        self._asked.pop(key).answer._withdraw()
