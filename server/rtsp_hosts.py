"""Which hosts pictures may be pulled from, and where their names lead.

A name is looked up once for each connection, and the addresses that passed are what is connected
to: a name that leads elsewhere the next moment (DNS rebinding) gains nothing.
"""

import asyncio
import ipaddress
import json
import re
import socket
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final

from pydantic import BeforeValidator
from pydantic_settings import NoDecode

from server.errors import ClientError
from server.rtsp_url import DEFAULT_PORT, IpAddress, RtspUrl, plain_address, read_place

SETTING: Final = "LOOKBACK_RTSP_HOSTS"
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_LOOKUP_SECONDS: Final = 5.0
_MOST_LOOKUPS: Final = 32
_LOCALHOST: Final = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))
# IPv6 that leads on to IPv4 addresses: no name alone opens it.
_TRANSITIONS: Final = tuple(
    ipaddress.IPv6Network(network)
    for network in ("::/96", "64:ff9b::/96", "64:ff9b:1::/48", "2001::/32", "2002::/16")
)
_lookups = 0


class LookupFailed(Exception):
    """A name leads nowhere, or nowhere that may be reached; the message says which."""


@dataclass(frozen=True)
class AllowedHost:
    """An entry of the setting: a name, or networks where it has none; and the ports."""

    name: str | None
    networks: tuple[Network, ...]
    ports: range

    def holds(self, address: IpAddress, port: int) -> bool:
        """Whether this address is in one of its networks. A wide one (`0.0.0.0/0`) does not hold
        this machine, nor the link's services: they are opened by networks of theirs."""
        return port in self.ports and any(
            address in network and (_usual(address) or _special(network))
            for network in self.networks
        )

    def names(self, url: RtspUrl) -> bool:
        """Whether it is this name."""
        return url.port in self.ports and self.name == url.host


def read_hosts(text: str) -> tuple[AllowedHost, ...]:
    """The setting: entries apart by commas or spaces, or a JSON list of them. Each is `host`,
    `host:port`, `host:from-to` or `host:*`, where the host is a name, an address or a network
    (`192.168.1.0/24`, `[fd00::/8]:554`). Without a port it is 554. Raises ValueError."""
    entries = re.split(r"[,\s]+", text)
    if re.match(r'\s*\[\s*["\]]', text):
        entries = json.loads(text)
    return tuple(_entry(entry.strip()) for entry in entries if entry.strip())


def _entry(entry: str) -> AllowedHost:
    bracketed = re.fullmatch(r"\[(.+)\](?::(.+))?", entry)
    if bracketed:
        host, ports = bracketed[1], bracketed[2]
    elif entry.count(":") > 1:
        host, ports = entry, None
    else:
        host, _, ports = entry.partition(":")
    given = _ports(entry, ports or str(DEFAULT_PORT))
    if host.lower() == "localhost":
        return AllowedHost("localhost", _LOCALHOST, given)
    try:
        if "/" in host:
            return AllowedHost(None, (ipaddress.ip_network(host),), given)
        if ":" in host:
            return AllowedHost(None, (ipaddress.ip_network(plain_address(host)),), given)
        name, _ = read_place(host)
    except (ValueError, ClientError) as error:
        raise ValueError(
            f"{entry!r} is no host: give names, addresses or networks, each with ports after a "
            "colon if they are not 554: camera.lan, 192.168.1.20:8554, 192.168.2.0/24:* "
            f"({getattr(error, 'message', error)})"
        ) from error
    try:
        return AllowedHost(None, (ipaddress.ip_network(name),), given)
    except ValueError:
        return AllowedHost(name, (), given)


def _ports(entry: str, text: str) -> range:
    if text == "*":
        return range(1, 65536)
    found = re.fullmatch(r"([0-9]{1,5})(?:-([0-9]{1,5}))?", text)
    first, last = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
    if not 0 < first <= last < 65536:
        raise ValueError(f"{entry!r}: the ports are a number, from-to, or * for all.")
    return range(first, last + 1)


RtspHosts = Annotated[
    tuple[AllowedHost, ...],
    NoDecode,
    BeforeValidator(lambda given: read_hosts(given) if isinstance(given, str) else given),
]
"""The setting's type."""


async def admit(url: RtspUrl, hosts: Sequence[AllowedHost]) -> None:
    """Raises ClientError (403) where this camera may not be pulled from. A name that is not in
    the list is looked up only where the list has addresses that it may lead to."""
    if not hosts:
        raise ClientError(
            "rtsp_off",
            "Pulling from cameras is off here: name those that may be pulled from in "
            f"{SETTING} (names, addresses, networks; {_wanted(url)!r} for this one).",
            param="url",
            status=403,
        )
    allowed = any(host.names(url) for host in hosts)
    if not allowed and (url.address or any(h.networks and url.port in h.ports for h in hosts)):
        try:
            allowed = bool(await reachable(url, hosts))
        except LookupFailed:
            allowed = False  # whether the name exists is not told
    if not allowed:
        raise ClientError(
            "host_not_allowed",
            f"{url.place} is not among the cameras of {SETTING}: add {_wanted(url)!r} there.",
            param="url",
            status=403,
        )


async def reachable(url: RtspUrl, hosts: Sequence[AllowedHost]) -> list[IpAddress]:
    """The addresses that may be connected to, at least one, in the resolver's order. Raises
    LookupFailed."""
    found = [url.address] if url.address else await look_up(url.host)
    named = any(host.names(url) for host in hosts)
    allowed = [
        address
        for address in found
        if any(host.holds(address, url.port) for host in hosts) or (named and _usual(address))
    ]
    if not allowed:
        raise LookupFailed(f"its name leads to addresses that {SETTING} does not allow")
    return allowed


async def look_up(name: str) -> list[IpAddress]:
    """The addresses of a name, by the system's resolver. Raises LookupFailed.

    A thread of its own each: a lookup cannot be stopped, and must hold up neither others nor the
    end of the process.
    """
    global _lookups
    if _lookups >= _MOST_LOOKUPS:
        raise LookupFailed("too many names are being looked up")
    loop = asyncio.get_running_loop()
    done: asyncio.Future[list[Any]] = loop.create_future()

    def finish(found: list[Any] | OSError) -> None:
        if not done.done():
            done.set_exception(found) if isinstance(found, OSError) else done.set_result(found)

    def ask() -> None:
        global _lookups
        found: list[Any] | OSError
        try:
            found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            found = error if isinstance(error, OSError) else OSError(str(error))
        finally:
            _lookups -= 1
        if not loop.is_closed():
            loop.call_soon_threadsafe(finish, found)

    _lookups += 1
    threading.Thread(target=ask, name="camera's name", daemon=True).start()
    try:
        async with asyncio.timeout(_LOOKUP_SECONDS):
            found = await done
    except TimeoutError:
        raise LookupFailed("its name was not found in time") from None
    except OSError as error:
        raise LookupFailed(f"its name is unknown ({error.strerror or error})") from error
    addresses: dict[IpAddress, None] = {}
    for *_, place in found:
        try:
            addresses[plain_address(place[0])] = None
        except ValueError:
            continue  # with a zone
    return [*addresses]


def _usual(address: IpAddress) -> bool:
    """Whether it is a host's that a camera may be: not this machine, the link's own (a cloud's
    metadata), or what leads on to IPv4."""
    return not _special(ipaddress.ip_network(address))


def _special(network: Network) -> bool:
    """Whether all of it is of these kinds."""
    return (
        network.is_loopback
        or network.is_link_local
        or network.is_multicast
        or network.is_unspecified
        or network.is_reserved
        or any(_within(network, transition) for transition in _TRANSITIONS)
    )


def _within(network: Network, wider: ipaddress.IPv6Network) -> bool:
    return isinstance(network, ipaddress.IPv6Network) and network.subnet_of(wider)


def _wanted(url: RtspUrl) -> str:
    """The entry that would allow it."""
    return url.host if url.port == DEFAULT_PORT else url.place
