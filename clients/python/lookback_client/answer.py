"""An answer, from the question to its last word."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Generator
from typing import Any, Final, Self

from lookback_client.errors import AnswerFailed

log = logging.getLogger("lookback_client")

_LAST_WORD_SECONDS: Final = 0.2


class Answer:
    """`async for piece in answer` gives its text as it is written; leaving the loop early cancels
    it. `await answer` waits for the whole of it. Either raises LookbackError where there is none.

    The question is on its way already when this is made.
    """

    def __init__(self, question: str, cancel: Callable[["Answer"], None]) -> None:
        loop = asyncio.get_running_loop()
        self.question = question
        self.id = ""
        """The gateway's name for it, once it is known."""
        self.text = ""
        """What is written so far."""
        self.status = "waiting"
        """`waiting`, `in_progress`, and at the end `completed`, `cancelled` (by somebody),
        `incomplete` (it reached max_tokens) or `failed`."""
        self.lookback: dict[str, Any] = {}
        """All that the gateway tells of what it rests on."""
        self.usage: dict[str, int] = {}
        """`input_tokens`, `output_tokens` and `total_tokens`, at the end."""
        self.ttft_seconds: float | None = None
        """From the question to the first text here, in seconds."""
        self._cancel = cancel
        self._pieces: list[str] = []
        self._asked_at = loop.time()
        self._news = asyncio.Event()
        self._end: asyncio.Future[None] = loop.create_future()

    @property
    def span(self) -> tuple[float, float] | None:
        """From where to where memory covered the stream, in seconds of it."""
        span = self.lookback.get("span")
        return None if span is None else (span[0], span[1])

    @property
    def newest_frame_age(self) -> float | None:
        """How old the newest frame was when the answer began, in seconds."""
        age: float | None = self.lookback.get("newest_frame_age")
        return age

    @property
    def turns_kept(self) -> int | None:
        """Earlier questions and answers that this one sees."""
        turns: int | None = self.lookback.get("turns_kept")
        return turns

    @property
    def turns_forgotten(self) -> int | None:
        """Earlier ones that it no longer sees."""
        turns: int | None = self.lookback.get("turns_forgotten")
        return turns

    @property
    def queue_position(self) -> int | None:
        """How many answers came before it when it was asked."""
        position: int | None = self.lookback.get("queue_position")
        return position

    @property
    def done(self) -> bool:
        """Whether it has ended, one way or another."""
        return self._end.done()

    def cancel(self) -> None:
        """Have no more of it written. It ends with the status `cancelled`."""
        if not self._end.done():
            self._cancel(self)

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"<Answer {self.status}: {self.text!r}>"

    def __await__(self) -> Generator[Any, None, Self]:
        return self._whole().__await__()

    async def _whole(self) -> Self:
        try:
            await asyncio.shield(self._end)
        except asyncio.CancelledError:
            self.cancel()
            raise
        return self

    async def __aiter__(self) -> AsyncIterator[str]:
        told = 0
        try:
            while True:
                news = self._news
                while told < len(self._pieces):
                    told += 1
                    yield self._pieces[told - 1]
                if self._end.done():
                    self._end.result()
                    return
                await news.wait()
        finally:
            self.cancel()

    # What the connection hears of it.

    def _take(self, event: dict[str, Any]) -> None:
        kind = event["type"]
        if kind == "response.created":
            self.id = event["response"]["id"]
            self.lookback |= event["response"].get("lookback", {})
        elif kind == "lookback.response.started":
            self.status = "in_progress"
            self.lookback |= event["lookback"]
        elif kind == "response.output_text.delta":
            self._add(event["delta"])
        elif kind == "response.done":
            self._finish(event["response"])
        self._tell()

    def _add(self, piece: str) -> None:
        if self.ttft_seconds is None:
            self.ttft_seconds = asyncio.get_running_loop().time() - self._asked_at
        self._pieces.append(piece)
        self.text += piece

    def _finish(self, response: dict[str, Any]) -> None:
        if self._end.done():
            return
        self.status = response["status"]
        self.lookback |= response.get("lookback", {})
        self.usage = response.get("usage") or {}
        contents = [part for item in response["output"] for part in item["content"]]
        whole = "".join(part.get("text", "") for part in contents)
        if whole.startswith(self.text):
            # More was said while we were away than the gateway repeats.
            if rest := whole.removeprefix(self.text):
                self._add(rest)
        else:
            if not self.text.startswith(whole):
                log.warning("An answer's middle was lost on its way; its text is whole.")
            self.text = whole or self.text
        if self.status == "failed":
            details = response.get("status_details") or {}
            message = details.get("message") or "The model could not answer."
            # Where the session itself has ended, that is what is said next, and what matters.
            failed = AnswerFailed(message, self.text)
            asyncio.get_running_loop().call_later(_LAST_WORD_SECONDS, self._fail, failed)
        else:
            self._end.set_result(None)

    def _fail(self, error: Exception) -> None:
        if not self._end.done():
            self.status = "failed"
            self._end.set_exception(error)
            self._tell()

    def _withdraw(self) -> None:
        """It was cancelled before anybody heard of it."""
        if not self._end.done():
            self.status = "cancelled"
            self._end.set_result(None)
            self._tell()

    def _tell(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()
