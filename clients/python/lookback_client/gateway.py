"""One gateway as seen from here: HTTP requests and websockets, with the key and the patience.

Knows nothing about sessions.
"""

import copy
import ipaddress
import json
import logging
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus, WebSocketException

from lookback_client.backoff import Backoff
from lookback_client.errors import Busy, LookbackError, Unreachable, from_error

_TIMEOUT: Final = httpx.Timeout(30.0, connect=10.0)
_AGAIN: Final = (429, 503)
_LARGEST_MESSAGE: Final = 2**24
_PIECE: Final = 1 << 20  # bytes of a file that are read at once

# At DEBUG, websockets logs the headers of its requests, and the key among them.
_log: Final = logging.getLogger("lookback_client.websockets")
_log.setLevel(logging.INFO)


class Gateway:
    """url: `http://host:port`. bearer: an API key or a session's token. patience: how many seconds
    a gateway that is full or not ready yet is waited for. tls: for certificates of one's own.

    Raises ValueError for another kind of URL.
    """

    def __init__(
        self, url: str, bearer: str | None, patience: float, tls: ssl.SSLContext | None
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"The gateway's address is http://HOST:PORT, not {parts.scheme!r}.")
        if parts.username is not None or parts.query:
            raise ValueError("Keys do not belong into the address: give them as api_key.")
        self.url = url.rstrip("/")
        self.patience = patience
        self._bearer = bearer
        self._tls = tls
        # What listens on this machine is not reached through a proxy, whatever is set.
        self._proxies = not _is_loopback(parts.hostname)
        self._http = httpx.AsyncClient(
            verify=tls or True, trust_env=self._proxies, timeout=_TIMEOUT
        )

    def __repr__(self) -> str:
        return f"Gateway({self.url!r})"

    def as_bearer(self, bearer: str) -> "Gateway":
        """The same for the holder of another key or token; shares the connections."""
        other = copy.copy(self)
        other._bearer = bearer
        return other

    async def close(self) -> None:
        """No more requests."""
        await self._http.aclose()

    async def request(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        content: str | Path | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """The answer to `body` (as JSON) or `content`, which may be a file. A gateway that says
        when it will have room is asked again then, with the ticket for the place in its queue.
        Raises LookbackError, and OSError for a file that cannot be read."""
        backoff = Backoff(self.patience)
        params: dict[str, str] = {}
        while True:
            try:
                response = await self._http.request(
                    method,
                    f"{self.url}{path}",
                    json=body,
                    params=params,
                    content=_pieces(content) if isinstance(content, Path) else content,
                    headers={**self._authorization(), **(headers or {})},
                )
            except httpx.HTTPError as error:
                raise self._unreachable(error) from error
            if response.is_redirect:
                elsewhere = response.headers.get("Location", "another place")[:200]
                raise LookbackError(
                    f"{self.url} sends on to {elsewhere}: use that address.",
                    code="redirected",
                    status=response.status_code,
                )
            if not response.is_error:
                return response
            refused = _refusal(response.status_code, response.headers, response.content)
            if ticket := refused.lookback.get("ticket"):
                if isinstance(content, Path):
                    params = {"ticket": ticket}
                elif body is not None:
                    body = {**body, "ticket": ticket}
            again = response.status_code in _AGAIN and refused.retry_after is not None
            if not (again and await backoff.wait(refused.retry_after or 0.0)):
                raise refused

    @asynccontextmanager
    async def download(self, path: str) -> AsyncIterator[AsyncIterator[bytes]]:
        """The answer's pieces. Raises LookbackError, also while they are read."""
        address, headers = f"{self.url}{path}", self._authorization()
        try:
            async with self._http.stream("GET", address, headers=headers) as response:
                if not response.is_success:
                    body = await response.aread()
                    raise _refusal(response.status_code, response.headers, body)
                yield response.aiter_bytes()
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error

    async def told(
        self, method: str, path: str, body: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """The answer's JSON object. Raises LookbackError."""
        response = await self.request(method, path, body)
        try:
            told = response.json()
        except ValueError:
            told = None
        if not isinstance(told, dict):
            raise LookbackError(f"{self.url} is no Lookback gateway.", code="no_gateway")
        return told

    async def websocket(self, path: str, **query: str) -> ClientConnection:
        """A connection to this path. Raises LookbackError."""
        address = f"{self.url.replace('http', 'ws', 1)}{path}"
        if query:
            address += "?" + urlencode(query)
        try:
            return await connect(
                address,
                additional_headers=self._authorization(),
                proxy=True if self._proxies else None,
                ssl=(self._tls or True) if address.startswith("wss:") else None,
                max_size=_LARGEST_MESSAGE,
                compression=None,  # small messages, one at a time: it would only add delay
                logger=_log,
            )
        except InvalidStatus as error:
            answer = error.response
            body = bytes(answer.body or b"")
            raise _refusal(answer.status_code, answer.headers, body) from None
        except (OSError, WebSocketException) as error:
            raise self._unreachable(error) from error

    async def websocket_when_free(self, path: str, **query: str) -> ClientConnection:
        """The same; a gateway that says when it will have room is asked again then."""
        backoff = Backoff(self.patience)
        while True:
            try:
                return await self.websocket(path, **query)
            except Busy as error:
                if error.retry_after is None or not await backoff.wait(error.retry_after):
                    raise

    def _authorization(self) -> dict[str, str]:
        return {} if self._bearer is None else {"Authorization": f"Bearer {self._bearer}"}

    def _unreachable(self, error: Exception) -> Unreachable:
        why = str(error) or type(error).__name__
        return Unreachable(f"{self.url} does not answer ({why}).", code="unreachable")


async def _pieces(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as file:  # local, and a piece at a time
        while piece := file.read(_PIECE):
            yield piece


def in_path(identity: str) -> str:
    """Any text as one segment of a path."""
    return quote(identity, safe="")


def _refusal(status: int, headers: Mapping[str, str], body: bytes) -> LookbackError:
    try:
        error = json.loads(body)["error"]
        assert isinstance(error, dict)
    except (ValueError, KeyError, TypeError, AssertionError):
        # Something between us and the gateway has answered.
        error = {"message": f"The answer was HTTP {status}.", "code": f"http_{status}"}
    after = headers.get("Retry-After", "")
    return from_error(error, status=status, retry_after=float(after) if after.isdecimal() else None)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
