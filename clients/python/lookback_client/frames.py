"""Pictures by websocket: each as a file behind its time."""

import asyncio
import json
import struct
from contextlib import suppress
from typing import Any, Final

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from lookback_client.errors import (
    Busy,
    CameraReplaced,
    LookbackError,
    SessionLost,
    Unreachable,
    from_error,
)
from lookback_client.gateway import Gateway, in_path
from lookback_client.pictures import encoded
from lookback_client.publication import Publication, log
from lookback_client.pump import Pump
from lookback_client.realtime import UNKNOWN_SESSION

_HEADER: Final = struct.Struct(">d")
_REPLACED: Final = 4409


class FramesPublication(Publication):
    """per_second: pictures sent; None: as many as the gateway samples."""

    def __init__(
        self,
        gateway: Gateway,
        session: str,
        pump: Pump,
        per_second: float | None,
        reconnect_seconds: float,
    ) -> None:
        super().__init__(reconnect_seconds)
        self._gateway = gateway
        self._session = f"/v1/sessions/{in_path(session)}"
        self._pump = pump
        self._per_second = per_second
        self._socket: ClientConnection | None = None

    @property
    def seconds(self) -> float:
        return self._pump.seconds

    async def _open(self) -> None:
        await self._pump.open()

    async def _connect(self) -> None:
        socket = await self._gateway.websocket_when_free(f"{self._session}/frames")
        try:
            ready: dict[str, Any] = json.loads(await socket.recv())
        except ConnectionClosed as error:
            raise Unreachable(f"{self._gateway.url} has hung up ({error}).") from error
        if ready["type"] == "error":
            await socket.close()
            raise from_error(ready["error"])
        self._socket = socket
        self._pump.go(self._per_second or ready["sampled_per_second"])

    async def _send(self) -> bool:
        socket = self._socket
        assert socket is not None
        hearing = asyncio.create_task(_hear(socket))
        sending = asyncio.create_task(self._pass_on(socket))
        try:
            await asyncio.wait({hearing, sending}, return_when=asyncio.FIRST_COMPLETED)
            if sending.done() and sending.result():
                await socket.close()  # after it the gateway has all that was sent
                return True
        finally:
            hearing.cancel()
            sending.cancel()
        await socket.close()
        if socket.close_code == UNKNOWN_SESSION:
            raise SessionLost("The gateway does not know it.", reason="unknown_session")
        if socket.close_code == _REPLACED:
            await self._replaced()
        return False

    async def _pass_on(self, socket: ClientConnection) -> bool:
        """Whether the source has ended; False: the connection has."""
        with suppress(ConnectionClosed):
            while True:
                frame = await self._pump.newest()
                if frame is None:
                    return True
                file = await asyncio.to_thread(encoded, frame.picture)
                await socket.send(_HEADER.pack(frame.time) + file)
                self.frames_sent += 1
                self._backoff.reset()
        return False

    async def _replaced(self) -> None:
        """Raises SessionLost where the session has ended, and CameraReplaced unless its gateway
        has, or leaves it to another."""
        try:
            state = await self._gateway.told("GET", self._session)
        except (SessionLost, Busy, Unreachable) as error:
            if isinstance(error, SessionLost):
                raise
            return
        except LookbackError as error:  # this token may not ask
            log.debug("What became of the session is not known: %s", error)
        else:
            if state["camera"]["state"] in ("none", "gone"):
                return
        raise CameraReplaced("Another camera took this one's place.", code="replaced")

    async def _close(self) -> None:
        await self._pump.close()
        if self._socket is not None:
            await self._socket.close()


async def _hear(socket: ClientConnection) -> None:
    """Says why pictures are refused, until the connection ends."""
    with suppress(ConnectionClosed):
        async for message in socket:
            event = json.loads(message)
            if event["type"] == "error":
                log.warning("A picture was refused: %s", event["error"]["message"])
