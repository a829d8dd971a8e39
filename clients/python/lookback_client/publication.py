"""A camera on its way to a session."""

import asyncio
import logging
from abc import ABC, abstractmethod
from types import TracebackType
from typing import Literal, Self

from lookback_client.backoff import Backoff
from lookback_client.errors import Busy, LookbackError, Unreachable

log = logging.getLogger("lookback_client")

State = Literal["connecting", "live", "reconnecting", "ended", "failed"]


class Publication(ABC):
    """What Session.publish returns: it runs until it ends, is stopped, or fails."""

    def __init__(self, reconnect_seconds: float) -> None:
        self._backoff = Backoff(reconnect_seconds)
        self._running: asyncio.Task[None] | None = None
        self.state: State = "connecting"
        self.error: LookbackError | None = None
        """Why it failed."""
        self.frames_sent = 0
        """Pictures handed to the network from here; of WebRTC and RTSP they are not counted."""

    @property
    def seconds(self) -> float:
        """How much of its source has gone out; 0 where that does not pass through here."""
        return 0.0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop()

    async def open(self) -> None:
        """Opens the source; Session.publish's part. Raises CameraError."""
        try:
            await self._open()
        except BaseException:
            await self._give_up()
            raise

    async def begin(self) -> None:
        """Returns when it stands; Session.publish's part. Raises LookbackError."""
        try:
            await self._connect()
        except BaseException:
            await self._give_up()
            raise
        self.state = "live"
        self._running = asyncio.create_task(self._run())

    async def _give_up(self) -> None:
        self.state = "failed"
        await self._close()

    async def wait(self) -> None:
        """Returns when the source has ended or was stopped. Raises LookbackError where it broke
        off: CameraError for the source, CameraReplaced where another took its place."""
        if self._running is not None:
            await asyncio.wait({self._running})
        if self.error is not None:
            raise self.error

    async def stop(self) -> None:
        """Ends it; the session and what it has seen stay. Calling it twice does no harm."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait({self._running})

    async def _run(self) -> None:
        try:
            while not await self._send():
                self.state = "reconnecting"
                await self._again()
                self.state = "live"
            self.state = "ended"
        except LookbackError as error:
            self.state, self.error = "failed", error
            log.warning("The camera has ended: %s", error)
        except asyncio.CancelledError:
            self.state = "ended"
        except Exception as error:
            log.exception("The camera has ended")
            self.state, self.error = "failed", LookbackError(f"The camera has ended: {error!r}.")
        finally:
            await self._close()

    async def _again(self) -> None:
        error: LookbackError = Unreachable("The connection was lost.", code="unreachable")
        while await self._backoff.wait(error.retry_after or 0.0):
            try:
                await self._connect()
                return
            except (Busy, Unreachable) as found:
                error = found
        raise error

    @abstractmethod
    async def _open(self) -> None:
        """Opens the source. Raises CameraError."""

    @abstractmethod
    async def _connect(self) -> None:
        """Reaches the gateway, the first time or again. Raises LookbackError."""

    @abstractmethod
    async def _send(self) -> bool:
        """Whether the source has ended; False: the connection has. Raises LookbackError."""

    @abstractmethod
    async def _close(self) -> None:
        """Closes the source and says goodbye. Never raises."""
