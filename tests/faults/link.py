"""A network between two parts, which a test may slow down, cut, and lead elsewhere."""

import asyncio
import contextlib
import threading
from concurrent.futures import Future
from typing import Any, Self


class Link:
    """A TCP proxy to `port` on loopback, in a thread of its own; others connect to `self.port`.

    While it is cut nothing passes and nothing is refused, as where packets are lost; what was said
    meanwhile passes when it is whole again, as TCP sends it again.
    """

    def __init__(self, port: int) -> None:
        self.leads_to = port
        self.delay = 0.0
        """Seconds that everything takes, each way."""
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._whole: asyncio.Event | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._do(self._listen()).result()
        return self

    def __exit__(self, *_: object) -> None:
        self._do(self._end()).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def cut(self) -> None:
        """Nothing passes from now on."""
        assert self._whole is not None
        self._loop.call_soon_threadsafe(self._whole.clear)

    def mend(self) -> None:
        """It is whole again."""
        assert self._whole is not None
        self._loop.call_soon_threadsafe(self._whole.set)

    def _do(self, work: Any) -> "Future[None]":
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    async def _listen(self) -> None:
        self._whole = asyncio.Event()
        self._whole.set()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _end(self) -> None:
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None and self._whole is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        back: asyncio.StreamWriter | None = None
        with contextlib.suppress(OSError, asyncio.CancelledError):
            await self._whole.wait()
            there, back = await asyncio.open_connection("127.0.0.1", self.leads_to)
            async with asyncio.TaskGroup() as pipes:
                up = pipes.create_task(self._pipe(reader, back))
                down = pipes.create_task(self._pipe(there, writer))
                up.add_done_callback(lambda _: down.cancel())
                down.add_done_callback(lambda _: up.cancel())
        for end in (writer, back):
            if end is not None:
                end.transport.abort()

    async def _pipe(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert self._whole is not None
        waiting: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        sending = asyncio.create_task(self._send(waiting, writer))
        try:
            with contextlib.suppress(OSError):
                while data := await reader.read(2**16):
                    waiting.put_nowait((self._loop.time() + self.delay, data))
            waiting.put_nowait((0.0, b""))
            await sending
        finally:
            sending.cancel()

    async def _send(
        self, waiting: "asyncio.Queue[tuple[float, bytes]]", writer: asyncio.StreamWriter
    ) -> None:
        assert self._whole is not None
        with contextlib.suppress(OSError):
            while (entry := await waiting.get())[1]:
                await asyncio.sleep(max(0.0, entry[0] - self._loop.time()))
                await self._whole.wait()
                writer.write(entry[1])
                await writer.drain()
