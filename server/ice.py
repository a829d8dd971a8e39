"""STUN and TURN servers: told to whoever was let in, and a relay for our own end.

TURN credentials are static, or time-limited by coturn's convention (draft-uberti-behave-turn-rest):
the username is `<expiry>:<name>`, the credential the Base64 of its HMAC-SHA1 under a secret that
the TURN server shares. None is asked that is not configured.
"""

import base64
import hashlib
import hmac
import re
import time
from typing import Any, Final

from aiortc import RTCIceServer
from aiortc.rtcicetransport import parse_stun_turn_uri

from server.settings import GatewaySettings, IceServer

_GATEWAY: Final = "gateway"


class IceServers:
    """Those of one gateway. Raises ValueError for settings that say half of it, or what a header
    cannot carry, and repeats no secret."""

    def __init__(self, settings: GatewaySettings) -> None:
        self._static = settings.ice_servers
        self._urls = settings.turn_urls
        self._secret = settings.turn_secret
        self._ttl_seconds = settings.turn_ttl_seconds
        if bool(self._urls) != (self._secret is not None):
            raise ValueError(
                "Time-limited TURN needs both: set LOOKBACK_TURN_URLS and LOOKBACK_TURN_SECRET "
                "(coturn's static-auth-secret)."
            )
        for server in self._static:
            _check(server)

    def told(self, name: str) -> list[dict[str, Any]]:
        """As RTCPeerConnection takes them in `iceServers`; name: who gets time-limited
        credentials, for the TURN server's log."""
        told = [_plain(server) for server in self._static]
        if self._urls and self._secret is not None:
            username, credential = credentials(
                self._secret.get_secret_value(), name, int(time.time()) + self._ttl_seconds
            )
            told.append({"urls": [*self._urls], "username": username, "credential": credential})
        return told

    @property
    def seconds(self) -> int | None:
        """How long what is told is good for; None: for ever."""
        return self._ttl_seconds if self._urls else None

    def links(self, name: str) -> list[str]:
        """One `Link` header for each address (RFC 9725, section 4.6)."""
        return [_link(url, server) for server in self.told(name) for url in server["urls"]]

    def own(self) -> list[RTCIceServer]:
        """The TURN servers for our own end: aiortc takes the first it can use. STUN servers are
        left out: they would tell a sender what LOOKBACK_MEDIA_ADDRESSES tells it at once."""
        return [
            RTCIceServer(urls, server["username"], server["credential"])
            for server in self.told(_GATEWAY)
            if "credential" in server and (urls := [*filter(_is_turn, server["urls"])])
        ]


def credentials(secret: str, name: str, expires_at: int) -> tuple[str, str]:
    """Username and credential for a TURN server that shares the secret; expires_at: Unix
    seconds."""
    username = f"{expires_at}:{re.sub(r'[^A-Za-z0-9._-]', '_', name)}"
    digest = hmac.new(secret.encode(), username.encode(), hashlib.sha1).digest()
    return username, base64.b64encode(digest).decode()


def _is_turn(url: str) -> bool:
    """Whether it is a TURN server's, and aiortc can read it."""
    try:
        return bool(parse_stun_turn_uri(url)["scheme"].startswith("turn"))
    except ValueError:
        return False


def _plain(server: IceServer) -> dict[str, Any]:
    told: dict[str, Any] = {"urls": [*server.urls]}
    if server.username is not None:
        told["username"] = server.username
    if server.credential is not None:
        told["credential"] = server.credential.get_secret_value()
    return told


def _check(server: IceServer) -> None:
    told = _plain(server)
    for name in ("username", "credential"):
        if re.search(r"[^ -~]", told.get(name, "")):
            raise ValueError(
                f"LOOKBACK_ICE_SERVERS: the {name} for {server.urls[0]} is not printable ASCII."
            )
    if ("username" in told) != ("credential" in told):
        raise ValueError(
            f"LOOKBACK_ICE_SERVERS: {server.urls[0]} has only one of username and credential."
        )


def _link(url: str, server: dict[str, Any]) -> str:
    link = f'<{url}>; rel="ice-server"'
    if "credential" in server:
        for name, value in (
            ("username", server["username"]),
            ("credential", server["credential"]),
            ("credential-type", "password"),
        ):
            quoted = value.replace("\\", "\\\\").replace('"', '\\"')
            link += f'; {name}="{quoted}"'
    return link
