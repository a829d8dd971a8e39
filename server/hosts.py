"""Where a gateway may listen, and by which names it may be called."""

import ipaddress
import socket
from collections.abc import Iterable
from typing import Final
from urllib.parse import urlsplit

from server.access_settings import AccessSettings
from server.errors import ClientError

_OWN: Final = "localhost"


class ExposedError(ValueError):
    """The gateway would be open to everybody who reaches it; the message says the ways out."""


def check_exposure(settings: AccessSettings) -> None:
    """Raises ExposedError where other machines could use the gateway and nobody has said that they
    may."""
    host = settings.published_host or settings.host
    if settings.api_keys_file is None and not settings.insecure and not is_loopback(host):
        raise ExposedError(
            f"Listening on {host or 'all addresses'} would let everybody who reaches it "
            "watch and ask: make keys (`lookback keys create NAME`) and name their file in "
            "LOOKBACK_API_KEYS_FILE, or set LOOKBACK_INSECURE=1 where the network is all yours."
        )


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a gateway that listens there. A name must stand for
    loopback addresses only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        pass
    try:
        found = socket.getaddrinfo(host, None) if host else []
    except OSError:
        found = []  # whoever listens there will say so
    addresses = [ipaddress.ip_address(str(each[4][0]).partition("%")[0]) for each in found]
    return bool(addresses) and all(address.is_loopback for address in addresses)


class Hosts:
    """The names by which a gateway without API keys may be called.

    A page that has its own name resolve to this machine (DNS rebinding) is of the same origin in
    its browser's eyes, so only the name gives it away. Addresses cannot be made to lie.
    """

    def __init__(self, host: str, names: Iterable[str]) -> None:
        machine = socket.gethostname()
        ours = (_OWN, host, machine, f"{machine}.local")
        self._names = {name.lower().rstrip(".") for name in (*ours, *names)}

    def check(self, header: str | None) -> None:
        """A request's `Host`. Raises ClientError (403); programs that name none may pass."""
        if header is not None and not self._known(header):
            raise ClientError(
                "unknown_host",
                f"This gateway does not know itself as {header[:200]!r}: call it by its address, "
                "or add the name to LOOKBACK_ALLOWED_HOSTS.",
                status=403,
            )

    def _known(self, header: str) -> bool:
        try:
            name = urlsplit(f"//{header}").hostname or ""
        except ValueError:
            return False
        name = name.rstrip(".")
        if name in self._names or name.endswith(f".{_OWN}"):
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True
