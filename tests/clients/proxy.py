"""A TCP proxy that cuts connections at a given byte or word."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator


class Proxy:
    """down: how many bytes towards the client, or before which word, a connection is cut; up: the
    same towards the gateway. Each entry serves one connection, and those after the last are never
    cut. Counts connections. While `refusing`, new ones are closed at once; while
    not `flowing`, nothing passes towards the gateway."""

    def __init__(self, url: str) -> None:
        self.lead_to(url)
        self.down: list[int | bytes] = []
        self.up: list[int | bytes] = []
        self.connections = 0
        self.refusing = False
        self.flowing = asyncio.Event()
        self.flowing.set()
        self.url = ""
        self._open: set[asyncio.StreamWriter] = set()

    def lead_to(self, url: str) -> None:
        """From now on, to the gateway at this URL."""
        host, _, port = url.removeprefix("http://").partition(":")
        self._target = host, int(port)

    def cut(self) -> None:
        """All that are open, now."""
        for writer in list(self._open):
            writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.refusing:
            writer.transport.abort()
            return
        number, self.connections = self.connections, self.connections + 1
        there, back = await asyncio.open_connection(*self._target)
        self._open |= {writer, back}
        limits = [sides[number] if number < len(sides) else None for sides in (self.down, self.up)]
        pipes = (
            asyncio.create_task(self._pipe(there, writer, limits[0], False)),
            asyncio.create_task(self._pipe(reader, back, limits[1], True)),
        )
        try:
            await asyncio.wait(pipes, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pipe in pipes:
                pipe.cancel()
            self._open -= {writer, back}
            writer.transport.abort()
            back.transport.abort()

    async def _pipe(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        limit: int | bytes | None,
        upwards: bool,
    ) -> None:
        passed = 0
        with contextlib.suppress(OSError):
            while data := await reader.read(2**16):
                if upwards:
                    await self.flowing.wait()
                if isinstance(limit, bytes) and limit in data:
                    limit = passed + data.index(limit)
                if isinstance(limit, int):
                    data = data[: limit - passed]
                passed += len(data)
                writer.write(data)
                await writer.drain()
                if passed == limit:
                    return


@contextlib.asynccontextmanager
async def proxied(url: str, tls: ssl.SSLContext | None = None) -> AsyncIterator[Proxy]:
    """A proxy before the gateway at this URL; with TLS it is reached by https."""
    proxy = Proxy(url)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0, ssl=tls)
    proxy.url = f"{'https' if tls else 'http'}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield proxy
    finally:
        proxy.cut()
        server.close()
