"""A camera on the network that the gateway pulls: nothing of it passes through here."""

import asyncio
from typing import Any, Final

from lookback_client.errors import (
    Busy,
    CameraError,
    CameraReplaced,
    LookbackError,
    Unreachable,
)
from lookback_client.gateway import Gateway, in_path
from lookback_client.publication import Publication, log
from lookback_client.sources import Rtsp

_FIRST_LOOK_SECONDS: Final = 0.2
_LOOK_SECONDS: Final = 2.0


class RtspPublication(Publication):
    """Connecting to the camera again is the gateway's work."""

    def __init__(
        self, gateway: Gateway, session: str, source: Rtsp, reconnect_seconds: float
    ) -> None:
        super().__init__(reconnect_seconds)
        self._gateway = gateway
        self._path = f"/v1/sessions/{in_path(session)}/rtsp"
        self._source = source
        self._pull = ""

    async def _open(self) -> None:
        """There is nothing to open here."""

    async def _connect(self) -> None:
        told = await self._gateway.told("POST", self._path, {"url": self._source.url})
        self._pull = f"{self._path}/{in_path(told['id'])}"
        while told["state"] == "connecting" and not told["message"]:
            await asyncio.sleep(_FIRST_LOOK_SECONDS)
            told = await self._look()
        if told["state"] != "live":
            raise CameraError(told["message"], code="not_opened")

    async def _send(self) -> bool:
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            try:
                told = await self._look()
            except (Busy, Unreachable) as error:
                if not await self._backoff.wait(error.retry_after or 0.0):
                    raise
                continue
            self._backoff.reset()
            self.state = "live" if told["state"] == "live" else "reconnecting"
            if told["state"] == "gone":
                raise CameraError(told["message"], code="broken")

    async def _look(self) -> dict[str, Any]:
        """Raises CameraReplaced, and LookbackError."""
        try:
            return await self._gateway.told("GET", self._pull)
        except LookbackError as error:
            if error.code == "unknown_camera":
                raise CameraReplaced(error.message, code="replaced") from error
            raise

    async def _close(self) -> None:
        if not self._pull:
            return
        try:
            await self._gateway.request("DELETE", self._pull)
        except LookbackError as error:  # it is gone already, or ends with the session
            log.debug("The network camera was not dismissed: %s", error)
