"""The newest picture of a source: none waits, none is queued.

A slow network or encoder sees fewer pictures, never older ones.
"""

import asyncio
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterable, Iterator
from typing import Any, Final

from lookback_client.errors import CameraError
from lookback_client.sources import File, Frame, Pulled, Source, framed

_CLOSE_SECONDS: Final = 2.0


class _Due:
    """Which of the pictures that come are taken: at most so many a second of their own time."""

    def __init__(self, per_second: float) -> None:
        self._period = 1 / per_second
        self._last = self._next = float("-inf")

    def __call__(self, time: float) -> bool:
        if self._last <= time < self._next - 1e-3:
            return False
        self._next = max(self._next, time - self._period) + self._period
        if self._next <= time or time < self._last:  # after a gap there is nothing to catch up on
            self._next = time + self._period
        self._last = time
        return True


class Pump(ABC):
    """One source that is being read."""

    def __init__(self) -> None:
        self._newest: Frame | None = None
        self._filled = asyncio.Event()
        self._ended = False
        self._error: CameraError | None = None
        self._first: float | None = None
        self.seconds = 0.0
        """The time of the picture that was taken last, since the first."""

    @abstractmethod
    async def open(self) -> None:
        """Opens the source, and reads nothing yet. Raises CameraError."""

    @abstractmethod
    def go(self, per_second: float) -> None:
        """Begins to read, so many pictures a second; calling it again changes nothing."""

    @abstractmethod
    async def close(self) -> None:
        """Reads no more. Calling it twice does no harm."""

    async def newest(self) -> Frame | None:
        """The newest picture that was not taken yet, as soon as there is one; None after the last.
        Raises CameraError where the source broke off."""
        await self._filled.wait()
        frame, self._newest = self._newest, None
        if frame is not None:
            self._first = frame.time if self._first is None else self._first
            self.seconds = frame.time - self._first
        elif self._error is not None:
            raise self._error
        if not self._ended:
            self._filled.clear()
        return frame

    def _put(self, frame: Frame) -> None:
        self._newest = frame
        self._filled.set()

    def _end(self, error: Exception | None) -> None:
        self._ended = True
        if error is not None and not isinstance(error, CameraError):
            broken = CameraError(f"The pictures broke off: {error!r}.", code="broken")
            broken.__cause__ = error
            error = broken
        self._error = error
        self._filled.set()


class ThreadPump(Pump):
    """Reads a source that blocks."""

    def __init__(self, source: Source) -> None:
        super().__init__()
        self._source = source
        self._loop = asyncio.get_running_loop()
        self._opened: asyncio.Future[None] = self._loop.create_future()
        self._finished = asyncio.Event()
        self._going = threading.Event()
        self._stopped = threading.Event()
        self._per_second = 1.0
        # A camera that hangs must not keep the program from ending.
        self._thread = threading.Thread(target=self._read, name="camera", daemon=True)

    async def open(self) -> None:
        self._thread.start()
        await asyncio.shield(self._opened)

    def go(self, per_second: float) -> None:
        if not self._going.is_set():
            self._per_second = per_second
            self._going.set()

    async def close(self) -> None:
        self._stopped.set()
        self._going.set()
        if self._thread.is_alive():
            try:
                await asyncio.wait_for(self._finished.wait(), _CLOSE_SECONDS)
            except TimeoutError:
                return  # it hangs in a read; the thread ends with it
            self._thread.join()  # that was its last line

    # In the thread.

    def _read(self) -> None:
        try:
            frames = self._source.open()
        except Exception as error:
            self._tell(self._refuse, error)
            return
        self._tell(self._opened.set_result, None)
        self._going.wait()
        failure: Exception | None = None
        try:
            self._pass_on(frames)
        except Exception as error:
            failure = error
        finally:
            close = getattr(frames, "close", None)
            if close is not None:
                close()
        self._tell(self._end, failure)
        self._tell(self._finished.set)

    def _refuse(self, error: Exception) -> None:
        self._end(error)
        assert self._error is not None
        self._opened.set_exception(self._error)
        self._finished.set()

    def _pass_on(self, frames: Iterator[Frame]) -> None:
        if isinstance(self._source, Pulled):
            self._pull(frames)
            return
        due, began = _Due(self._per_second), time.monotonic()
        for frame in frames:
            if isinstance(self._source, File):
                self._stopped.wait(began + frame.time - time.monotonic())
            if self._stopped.is_set():
                return
            if due(frame.time):
                self._tell(self._put, frame)

    def _pull(self, frames: Iterator[Frame]) -> None:
        at, period = float("-inf"), 1 / self._per_second
        while not self._stopped.wait(at - time.monotonic()):
            frame = next(frames, None)
            if frame is None:
                return
            now = time.monotonic()
            at = at + period if at + period > now else now + period
            self._tell(self._put, frame)

    def _tell(self, call: Any, *arguments: Any) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(call, *arguments)


class TaskPump(Pump):
    """Reads an asynchronous iterator as it comes."""

    def __init__(self, pictures: AsyncIterable[Any]) -> None:
        super().__init__()
        self._pictures = pictures
        self._task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """There is nothing to open."""

    def go(self, per_second: float) -> None:
        if self._task is None:
            self._task = asyncio.create_task(self._read(_Due(per_second)))

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def _read(self, due: _Due) -> None:
        try:
            async for picture in self._pictures:
                frame = framed(picture)
                if due(frame.time):
                    self._put(frame)
                await asyncio.sleep(0)  # one that never waits would let nobody else do anything
        except Exception as error:
            self._end(error)
        else:
            self._end(None)
