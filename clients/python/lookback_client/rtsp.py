"""A camera on the network that the gateway pulls: nothing of it passes through here."""

import asyncio
from typing import Any, Final

from lookback_client.errors import LookbackError
from lookback_client.gateway import Gateway, in_path
from lookback_client.publication import Publication, log
from lookback_client.sources import Rtsp

_LOOK_SECONDS: Final = 2.0


class RtspPublication(Publication):
    """Reconnecting to the camera is the gateway's work."""

    def __init__(
        self, gateway: Gateway, session: str, source: Rtsp, reconnect_seconds: float
    ) -> None:
        super().__init__(reconnect_seconds)
        self._gateway = gateway
        self._path = f"/v1/sessions/{in_path(session)}/rtsp"
        self._source = source
        self._pull: str | None = None

    async def _open(self) -> None:
        """There is nothing to open here."""

    async def _connect(self) -> None:
        wanted: dict[str, Any] = {"url": self._source.url, "transport": self._source.transport}
        made = await self._gateway.request("POST", self._path, wanted)
        self._pull = str(made.json()["id"])

    async def _send(self) -> bool:
        await asyncio.Event().wait()
        return True

    async def _close(self) -> None:
        if self._pull is None:
            return
        try:
            await self._gateway.request("DELETE", f"{self._path}/{in_path(self._pull)}")
        except LookbackError as error:
            log.debug("The camera at %s was not dismissed: %s", self._source.host, error)
