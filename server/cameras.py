"""The cameras of one session, one at a time: whoever publishes later replaces who did before.

Knows nothing about how a camera sends its pictures.
"""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final, Literal, Protocol, TypeVar

from server.broadcast import Event
from server.errors import ClientError, unknown_camera, unknown_session
from server.feed import FrameFeed

State = Literal["connecting", "live", "stalled", "gone"]
Kind = Literal["webrtc", "whip", "rtp", "rtsp", "frames"]
_COUNTERS_SECONDS: Final = 1.0
_NO_PICTURE: Final = {
    "none": "start the camera, and ask again once it is seen",
    "connecting": "the camera is still connecting; ask again in a moment",
    "live": "the camera has just begun; ask again in a moment",
    "stalled": "the camera sends nothing; see to it, and ask again",
    "gone": "the camera has ended; start it again, and ask once it is seen",
}

T = TypeVar("T")


class Publisher(Protocol):
    """Whatever hands pictures to the session's FrameFeed. `why` explains that it is gone."""

    state: State
    why: str

    @property
    def kind(self) -> Kind:
        """How it sends them."""

    async def close(self) -> None:
        """Ends it; calling it twice does no harm."""


class Named(Publisher, Protocol):
    """One that is asked for by its id, which nobody guesses."""

    @property
    def id(self) -> str:
        """In URLs."""


N = TypeVar("N", bound=Named)


class Cameras:
    """tell: to everybody who listens; what it tells is a state."""

    def __init__(self, session: str, feed: FrameFeed, tell: Callable[[Event], object]) -> None:
        self._session = session
        self._feed = feed
        self._tell = tell
        self._current: Publisher | None = None
        self._lock = asyncio.Lock()
        self._closed = False
        self.number = 0
        """How many cameras there have been: it names the present one."""
        self._told: tuple[float, dict[str, int]] = (time.monotonic(), feed.counted())

    async def replace(self, publisher: Publisher, begin: Callable[[], Awaitable[T]]) -> T:
        """What `begin` returns, once the publisher stands in the former one's place. Raises what
        `begin` raises, and then nothing has changed; ClientError where the session has ended."""
        async with self._lock:
            begun = await begin()
            if self._closed:
                await publisher.close()
                raise unknown_session(self._session)
            before, self._current = self._current, publisher
            self.number += 1
            if before is not None:
                await before.close()
            self.changed(publisher)
        return begun

    def changed(self, publisher: Publisher) -> None:
        """A publisher has another state: everybody hears it, unless it was replaced."""
        if publisher is self._current:
            self.tell()

    def tell(self) -> None:
        """Tells the state and the counters, where there is, or was, a camera."""
        event = self.event()
        if event is not None:
            self._tell(event)

    def event(self) -> Event | None:
        """The state and the counters as they are told."""
        # Pictures may come without a camera, too: with a question.
        if self._current is None and not self._feed.counters.frames_received:
            return None
        self._told = (time.monotonic(), self._feed.counted())
        return {"type": "lookback.camera.updated", "camera": self.described()}

    def described(self) -> dict[str, Any]:
        """The camera as clients see it."""
        camera = self._current
        state = camera.state if camera else "none"
        why = camera.why if camera else ""
        return {"state": state, "message": why, "number": self.number, **self._feed.counted()}

    @property
    def current(self) -> Publisher | None:
        """The latest, which may be gone."""
        return self._current

    def named(self, identity: str, kind: type[N], *, gone: bool = False) -> N:
        """The latest, where it is of this class and has this id. gone: also one that has ended, to
        say why. Raises ClientError (404)."""
        camera = self._current
        if (
            not isinstance(camera, kind)
            or not secrets.compare_digest(camera.id.encode(), identity.encode("utf-8", "replace"))
            or (camera.state == "gone" and not gone)
        ):
            raise unknown_camera()
        return camera

    @property
    def busy(self) -> bool:
        """Whether there is a camera that is not gone, or one just beginning."""
        return self._lock.locked() or (self._current is not None and self._current.state != "gone")

    @property
    def advice(self) -> str:
        """What to do where no picture has arrived."""
        camera = self._current
        advice = _NO_PICTURE[camera.state if camera else "none"]
        if camera is not None and camera.why and camera.state in ("connecting", "stalled"):
            advice += f" (it says: {camera.why})"
        return advice

    def unseen(self) -> ClientError:
        """Why nothing can be answered yet, where no picture is on its way to the model."""
        return ClientError("no_frames_yet", f"No picture has arrived yet: {self.advice}.")

    @property
    def frames_told(self) -> int:
        """How many frames clients know to be sent."""
        return self._told[1]["frames_sent"]

    def tick(self, now: float) -> None:
        """Tells the counters from time to time, where they have changed (now: monotonic
        seconds)."""
        at, counted = self._told
        if now - at >= _COUNTERS_SECONDS and self._feed.counted() != counted:
            self.tell()

    async def close(self) -> None:
        """The session has ended."""
        self._closed = True
        async with self._lock:
            if self._current is not None:
                await self._current.close()
