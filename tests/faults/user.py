"""Somebody with a camera and questions, by the Python client; all that they are told is kept."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import numpy as np

from lookback_client import Answer, AnswerFailed, Busy, Lookback, LookbackError, Session

WAIT_SECONDS = 60.0


class User:
    """`told`: every event, with when it came (monotonic seconds)."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.id = session.id
        self.told: list[tuple[float, dict[str, Any]]] = []
        self.lost: LookbackError | None = None
        """Why the session ended."""
        self.white = False
        """Whether the camera sees nothing but white."""
        self._heard = asyncio.Event()

    async def listen(self) -> None:
        """Until the session ends."""
        try:
            async for event in self.session.events():
                self.told.append((time.monotonic(), event))
                self._heard.set()
        except LookbackError as error:
            self.lost = error
            self._heard.set()

    def events(self, kind: str, since: float = 0.0) -> list[dict[str, Any]]:
        """Those of this type."""
        return [event for at, event in self.told if event["type"] == kind and at >= since]

    async def until(
        self, kind: str, test: Callable[[Any], bool] = lambda event: True, since: float = 0.0
    ) -> dict[str, Any]:
        """The first such event since then."""
        async with asyncio.timeout(WAIT_SECONDS):
            while True:
                self._heard.clear()
                for event in self.events(kind, since):
                    if test(event):
                        return event
                if self.lost is not None and kind != "end":
                    raise self.lost
                await self._heard.wait()

    def ask(self, text: str = "what is it", tokens: int = 4, **options: Any) -> Answer:
        """Its answer has so many tokens."""
        return self.session.ask(text, max_tokens=tokens, **options)

    async def begun(self, tokens: int = 900) -> Answer:
        """A long answer of which the first words have come."""
        answer = self.ask("tell me all", tokens)
        async with asyncio.timeout(WAIT_SECONDS):
            while not answer.text:
                assert not answer.done, "the answer ended before it began"
                await asyncio.sleep(0.005)
        return answer

    async def answered(self, since: float) -> float:
        """Asks until an answer is whole; the seconds since then."""
        async with asyncio.timeout(WAIT_SECONDS):
            while True:
                try:
                    answer = await self.ask("and now")
                    assert answer.status == "incomplete" and answer.text, answer
                    return time.monotonic() - since
                except (AnswerFailed, Busy):
                    await asyncio.sleep(0.1)
                except LookbackError as error:
                    if error.code != "no_frames_yet":
                        raise
                    await asyncio.sleep(0.1)

    async def frames(self) -> int:
        """How many pictures the memory has taken in, as was told last."""
        memory = self.session.memory
        return 0 if memory is None else int(memory["frames_seen"])

    async def seeing(self, since: float) -> float:
        """Waits for a memory that has taken in more than it had then; the seconds since then."""
        before = await self.frames()
        await self.until(
            "lookback.memory.updated",
            lambda event: event["memory"]["frames_seen"] != before,
            time.monotonic(),
        )
        return time.monotonic() - since


async def _pictures(made: "User") -> AsyncIterator[Any]:
    """Noise, 32x32, ten a second; white where that is wanted."""
    random = np.random.default_rng()
    while True:
        noise = random.integers(0, 256, (32, 32, 3), dtype=np.uint8)
        yield np.full_like(noise, 255) if made.white else noise
        await asyncio.sleep(0.1)


@contextlib.asynccontextmanager
async def user(url: str, *, seen: int = 3, **wanted: Any) -> AsyncIterator[User]:
    """With a session of their own, and a camera of which so many pictures are seen."""
    async with Lookback(url) as lookback, lookback.session(**wanted) as session:
        made = User(session)
        listening = asyncio.create_task(made.listen())
        await asyncio.sleep(0)
        try:
            await session.publish(_pictures(made))
            if seen:
                await made.until(
                    "lookback.memory.updated", lambda e: e["memory"]["frames_seen"] >= seen
                )
            yield made
        finally:
            listening.cancel()
