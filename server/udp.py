"""UDP ports that media takes: any, or those of a range that a firewall or a container lets through.

Knows nothing about WebRTC or RTP.
"""

import asyncio
import contextlib
import errno
import ipaddress
import random
import re
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Annotated, Any, Final, TypeVar

from pydantic import BeforeValidator
from pydantic_settings import NoDecode

from server.errors import ServiceError

_PORTS: Final = range(1024, 65536)
_TRIES: Final = 64
_RETRY_SECONDS: Final = 5.0

P = TypeVar("P", bound=asyncio.DatagramProtocol)


@dataclass(frozen=True)
class PortRange:
    """UDP ports from first to last, both of them included. Raises ValueError for what is none."""

    first: int
    last: int

    def __post_init__(self) -> None:
        if not _PORTS[0] <= self.first <= self.last <= _PORTS[-1]:
            raise ValueError(
                f"{self} is no range of ports: give the first and the last of "
                f"{_PORTS[0]} to {_PORTS[-1]}, as 50000-50100"
            )

    def __str__(self) -> str:
        return f"{self.first}-{self.last}"

    def __len__(self) -> int:
        return self.last - self.first + 1


def _read_range(given: object) -> object:
    """`50000-50100`, or nothing for any port."""
    if not isinstance(given, str):
        return given
    if not given.strip():
        return None
    numbers = re.fullmatch(r"\s*(\d{1,5})\s*-\s*(\d{1,5})\s*", given)
    if numbers is None:
        raise ValueError("give the first and the last UDP port, as 50000-50100, or nothing for any")
    return PortRange(int(numbers[1]), int(numbers[2]))


def _read_addresses(given: object) -> object:
    """`203.0.113.7`, or several with commas between."""
    if not isinstance(given, str):
        return given
    try:
        return tuple(str(ipaddress.ip_address(a.strip())) for a in given.split(",") if a.strip())
    except ValueError as error:
        raise ValueError(
            f"{error}: give the IP address by which senders reach this machine "
            "(no name), or several with commas between"
        ) from error


UdpPorts = Annotated[PortRange | None, NoDecode, BeforeValidator(_read_range)]
"""A setting: `50000-50100`; empty: any port that is free."""
MediaAddresses = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_read_addresses)]
"""A setting: one IP address, or several with commas between."""


async def bind(factory: Callable[[], P], address: str, ports: PortRange | None) -> P:
    """A datagram protocol on a port of the range at this address of ours, by `factory`, which has
    got its transport.

    Raises ServiceError (503) where no port is free, and OSError where the address is not ours.
    """
    (opened,) = open_sockets(address, ports)
    return await listen(factory, opened)


async def listen(factory: Callable[[], P], opened: socket.socket) -> P:
    """The protocol that hears this socket, which is closed with it."""
    try:
        loop = asyncio.get_running_loop()
        _, protocol = await loop.create_datagram_endpoint(factory, sock=opened)
    except BaseException:
        opened.close()
        raise
    return protocol


def open_sockets(address: str, ports: PortRange | None, count: int = 1) -> list[socket.socket]:
    """Sockets on so many free ports in a row, the first of them an even one where they are several
    (RTP, and RTCP above it: RFC 3550, section 11). Tried in random order: a port that was just
    freed may still get packets of its former sender.

    Raises ServiceError (503) where there are none, and OSError where the address is not ours.
    """
    for first in _firsts(address, ports, count):
        with contextlib.ExitStack() as stack:
            opened = []
            for port in range(first, first + count):
                found = _opened(address, port)
                if found is None:
                    break
                opened.append(stack.enter_context(found))
            else:
                stack.pop_all()
                return opened
    raise ServiceError(
        "no_udp_port",
        f"All UDP ports for media ({ports or 'of this machine'}) are taken: try again later, or "
        "widen LOOKBACK_UDP_PORTS.",
        status=503,
        retry_after=_RETRY_SECONDS,
    )


def _firsts(address: str, ports: PortRange | None, count: int) -> Iterable[int]:
    if ports is None and count == 1:
        return [0]  # the system finds one
    if ports is None:
        return [random.choice(_PORTS[::2]) for _ in range(_TRIES)]
    step = 1 if count == 1 else 2
    begin = ports.first if count == 1 else ports.first + ports.first % 2
    firsts = [*range(begin, ports.last - count + 2, step)]
    random.shuffle(firsts)
    return firsts


def _opened(address: str, port: int) -> socket.socket | None:
    """None where the port is taken, or not for us."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    opened = socket.socket(family, socket.SOCK_DGRAM)
    try:
        opened.setblocking(False)
        opened.bind((address, port))
    except OSError as error:
        opened.close()
        if error.errno in (errno.EADDRINUSE, errno.EACCES):
            return None
        raise
    except BaseException:
        opened.close()
        raise
    return opened


def address_of(opened: socket.socket) -> tuple[str, int]:
    """Its own address and port."""
    name: tuple[Any, ...] = opened.getsockname()
    return str(name[0]), int(name[1])
