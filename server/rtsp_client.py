"""RTSP as a camera's client (RFC 2326): one TCP connection, over which everything comes.

It is made to an address that was checked, and whatever the camera says (redirections, URIs,
addresses, other transports), no other is ever made. Knows nothing about sessions or pictures.
"""

import asyncio
import contextlib
import re
import time
from collections import deque
from collections.abc import Sequence
from typing import Final

from server.rtsp_login import Login, UnknownLogin, login
from server.rtsp_messages import Headers, MalformedReply, Packet, Reply, Request, read, written
from server.rtsp_sdp import NoPicture, VideoTrack, read_track
from server.rtsp_url import IpAddress, RtspUrl

_LIMIT_BYTES: Final = 2**17
_CONNECT_SECONDS: Final = 4.0
_CLOSE_SECONDS: Final = 0.2
_MOST_ADDRESSES: Final = 4
_MOST_EARLY: Final = 256
_SESSION_SECONDS: Final = 60.0
_INTERLEAVED: Final = re.compile(r"interleaved\s*=\s*(\d{1,3})")
_REASONS: Final = {
    400: "it does not understand the request (400)",
    403: "it forbids it (403): see to the user's rights on the camera",
    404: "it has nothing at this path (404): see to the URL",
    453: "it has no bandwidth left (453): too many are connected to it",
    454: "it has ended the connection (454)",
    461: "it sends by UDP only (461), which is not taken",
    500: "it has failed (500)",
    503: "it is too busy (503): too many may be connected to it",
}


class CameraFailed(Exception):
    """This attempt has come to nothing; the message says why, in words and without secrets."""


class LoginRefused(CameraFailed):
    """It will not let these credentials in. More attempts may lock the account."""


class RtspClient:
    """One connection, from DESCRIBE to TEARDOWN."""

    def __init__(
        self, url: RtspUrl, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._url = url
        self._reader = reader
        self._writer = writer
        self._login: Login | None = None
        self._let_in = False  # by this login
        self._sequence = 0
        self._session = ""
        self._keep_alive = "OPTIONS"
        self._keep_alive_seconds = _SESSION_SECONDS / 2
        self._keep_alive_at = float("inf")
        self._early: deque[Packet] = deque(maxlen=_MOST_EARLY)
        self._aggregate = url.request

    async def describe(self) -> VideoTrack:
        """What it sends. Raises CameraFailed, EOFError, OSError and MalformedReply, as do all
        below."""
        offered = await self._ask("OPTIONS", self._url.request, any_status=True)
        if "GET_PARAMETER" in offered.headers.get("public").upper():
            self._keep_alive = "GET_PARAMETER"
        reply = await self._ask("DESCRIBE", self._url.request, ("Accept", "application/sdp"))
        headers = reply.headers
        base = headers.get("content-base") or headers.get("content-location") or self._url.request
        try:
            track = read_track(reply.body.decode("utf-8", "replace"), base)
        except NoPicture as error:
            raise CameraFailed(str(error)) from error
        self._aggregate = track.aggregate
        return track

    async def play(self, track: VideoTrack) -> int:
        """Lets it send this track. Returns the channel on which its RTP comes; the next one has
        its RTCP."""
        wanted = ("Transport", "RTP/AVP/TCP;unicast;interleaved=0-1")
        reply = await self._ask("SETUP", track.control, wanted)
        identity, _, parameters = reply.headers.get("session").partition(";")
        self._session = identity.strip()
        timeout = re.search(r"timeout\s*=\s*(\d{1,6})", parameters)
        seconds = float(timeout[1]) if timeout else _SESSION_SECONDS
        self._keep_alive_seconds = max(seconds / 2, 1.0)
        transport = reply.headers.get("transport")
        channel = _INTERLEAVED.search(transport)
        if "TCP" not in transport.upper() or not channel:
            raise CameraFailed("it does not send over TCP")
        await self._ask("PLAY", self._aggregate, ("Range", "npt=0.000-"))
        self._keep_alive_at = time.monotonic() + self._keep_alive_seconds
        return int(channel[1])

    async def packet(self) -> Packet:
        """The next thing that it sends, whenever that comes; keeps its session alive meanwhile."""
        if self._early:
            return self._early.popleft()
        while True:
            message = await read(self._reader)
            again = isinstance(message, Reply) and self._challenged(message)
            if again or time.monotonic() >= self._keep_alive_at:
                self._keep_alive_at = time.monotonic() + self._keep_alive_seconds
                await self._send(self._keep_alive, self._aggregate)
            if isinstance(message, Packet):
                return message
            if isinstance(message, Request):
                await self._answer(message)

    def close(self) -> None:
        """Says goodbye, and waits for nothing."""
        if self._session and not self._writer.is_closing():
            with contextlib.suppress(OSError, MalformedReply):
                self._writer.write(self._request("TEARDOWN", self._aggregate))
        self._writer.close()
        # Where the camera does not take the goodbye, the socket is freed all the same.
        asyncio.get_running_loop().call_later(_CLOSE_SECONDS, self._writer.transport.abort)

    async def _ask(
        self, method: str, uri: str, *headers: tuple[str, str], any_status: bool = False
    ) -> Reply:
        """Its reply: of success, unless `any_status`."""
        reply = await self._exchange(method, uri, *headers)
        if reply.status == 401:
            tried, let_in, self._let_in = self._login is not None, self._let_in, False
            self._login = self._challenge(reply.headers)
            # A login that was good before only needs the camera's new nonce.
            if tried and not let_in and not self._login.stale:
                raise LoginRefused("it refuses the user or the password (401)")
            reply = await self._exchange(method, uri, *headers)
            if reply.status == 401:
                raise LoginRefused("it refuses the user or the password (401)")
        self._let_in = self._login is not None
        if 300 <= reply.status < 400:
            raise CameraFailed("it redirects to another address, which is not followed")
        if reply.status >= 300 and not any_status:
            raise CameraFailed(
                _REASONS.get(reply.status, f"it answers {method} with {reply.status}")
            )
        return reply

    async def _exchange(self, method: str, uri: str, *headers: tuple[str, str]) -> Reply:
        await self._send(method, uri, *headers)
        while True:
            message = await read(self._reader)
            if isinstance(message, Packet):
                self._early.append(message)  # some cameras play before they say so
            elif isinstance(message, Request):
                await self._answer(message)
            elif message.sequence in (self._sequence, None):
                return message

    async def _send(self, method: str, uri: str, *headers: tuple[str, str]) -> None:
        self._writer.write(self._request(method, uri, *headers))
        await self._writer.drain()

    def _request(self, method: str, uri: str, *headers: tuple[str, str]) -> bytes:
        self._sequence += 1
        ours = [("CSeq", str(self._sequence)), ("User-Agent", "Lookback"), *headers]
        if self._session:
            ours.append(("Session", self._session))
        if self._login is not None:
            ours.append(("Authorization", self._login.authorization(method, uri)))
        return written(f"{method} {uri} RTSP/1.0", ours)

    def _challenge(self, headers: Headers) -> Login:
        if self._url.credentials is None:
            raise LoginRefused(
                "it asks for a user and a password (401): give them in the URL, as "
                "rtsp://user:password@host/path"
            )
        try:
            return login(headers.all("www-authenticate"), self._url.credentials)
        except UnknownLogin as error:
            raise CameraFailed(str(error)) from error

    def _challenged(self, reply: Reply) -> bool:
        """Whether what kept it alive must be said again, with a new login. Cameras that do not
        understand it at all live on all the same."""
        if reply.status == 454:
            raise CameraFailed(_REASONS[454])
        if reply.status != 401:
            self._let_in = True
            return False
        self._login = self._challenge(reply.headers)
        again, self._let_in = self._let_in, False
        return again

    async def _answer(self, request: Request) -> None:
        if request.method == "REDIRECT":
            raise CameraFailed("it redirects to another address, which is not followed")
        known = request.method in ("OPTIONS", "GET_PARAMETER", "SET_PARAMETER")
        status = "200 OK" if known else "501 Not Implemented"
        self._writer.write(written(f"RTSP/1.0 {status}", [("CSeq", request.sequence[:20])]))
        await self._writer.drain()


async def connect(url: RtspUrl, addresses: Sequence[IpAddress]) -> RtspClient:
    """To the first of these addresses that takes it. Raises CameraFailed."""
    why = "it has no address"
    for address in addresses[:_MOST_ADDRESSES]:
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                # Nothing is looked up any more: this is an address and no name.
                streams = await asyncio.open_connection(str(address), url.port, limit=_LIMIT_BYTES)
        except ConnectionRefusedError:
            why = f"nothing listens at port {url.port} (connection refused)"
        except TimeoutError:
            why = f"it does not answer at port {url.port}"
        except OSError as error:
            why = f"it cannot be reached ({error.strerror or type(error).__name__})"
        else:
            return RtspClient(url, *streams)
    raise CameraFailed(why)
