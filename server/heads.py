"""Heads of HTTP requests: limited in size and in time, before anybody has shown a key."""

import asyncio
from typing import Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_BYTES: Final = 65536
_HEAD_SECONDS: Final = 15.0


class LimitedHttp(HttpToolsProtocol):
    """uvicorn's protocol, which by itself takes heads without end and waits for them for ever.

    A head of more than HEAD_BYTES is answered with 400. One that comes in a single read (256 KiB)
    may have more.
    """

    _reading = False
    _received = 0
    _patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._begin()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        self._begin()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._end()
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._reading and not self.transport.is_closing():
            self._received += len(data)
            if self._received > HEAD_BYTES:
                self._end()
                self.send_400_response(f"The head of a request has at most {HEAD_BYTES} bytes.")

    def _begin(self) -> None:
        self._end()
        self._reading, self._received = True, 0
        loop = asyncio.get_running_loop()
        self._patience = loop.call_later(_HEAD_SECONDS, self.transport.close)

    def _end(self) -> None:
        self._reading = False
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
