"""Our end of a connection's ways (ICE, RFC 8445): the ports that aioice takes, and the addresses
that a sender is told.

aioice chooses neither (its issue 47), so both are done here, connection by connection.
"""

import ipaddress
import logging
import re
import socket
from collections.abc import Sequence
from typing import Any, Final

import aioice.ice
from aioice.candidate import Candidate, candidate_foundation, candidate_priority
from aioice.ice import StunProtocol
from aiortc import RTCPeerConnection

from server.errors import ServiceError
from server.udp import PortRange, address_of, listen, open_sockets

log = logging.getLogger(__name__)

# A keyframe of a large picture comes at once; Linux's own default holds 150 packets of it.
_BUFFER_BYTES: Final = 2**20
_STUN: Final = 3

_all_addresses = aioice.ice.get_host_addresses


def _host_addresses(use_ipv4: bool, use_ipv6: bool) -> list[str]:
    """aioice never offers 127.0.0.1; on a machine with no other address nothing else connects."""
    addresses: list[str] = _all_addresses(use_ipv4, use_ipv6)
    return addresses or ["127.0.0.1"]


aioice.ice.get_host_addresses = _host_addresses


def confine(peer: RTCPeerConnection, ports: PortRange | None) -> None:
    """Makes the connections that have not gathered yet take ports of this range. Gathering then
    raises ServiceError (503) where none is free."""
    transports = [transceiver.receiver.transport for transceiver in peer.getTransceivers()]
    if peer.sctp is not None:
        transports.append(peer.sctp.transport)
    for connection in {transport.transport.iceGatherer._connection for transport in transports}:
        connection.get_component_candidates = _Gathering(connection, ports)


class _Way(StunProtocol):
    """A socket of a connection. Media comes a hundred times a second and is told from STUN by its
    first byte (RFC 7983, section 7); aioice tries to read each packet as STUN first."""

    def datagram_received(self, data: bytes | str, addr: tuple[Any, ...]) -> None:
        assert isinstance(data, bytes)
        if data and data[0] > _STUN:
            self.receiver.data_received(data, self.local_candidate.component)
        else:
            super().datagram_received(data, addr)


class _Gathering:
    """In the place of aioice's own, which takes whatever port the system gives."""

    def __init__(self, connection: Any, ports: PortRange | None) -> None:
        self._connection = connection
        self._ports = ports
        self._aioices_own = connection.get_component_candidates

    async def __call__(self, component: int, addresses: Sequence[str]) -> list[Candidate]:
        """A candidate for each address of ours that has a free port."""
        candidates = []
        for opened in self._sockets(addresses):
            protocol = await listen(lambda: _Way(self._connection), opened)
            host, port = address_of(opened)
            protocol.local_candidate = Candidate(
                foundation=candidate_foundation("host", "udp", host),
                component=component,
                transport="udp",
                priority=candidate_priority(component, "host"),
                host=host,
                port=port,
                type="host",
            )
            self._connection._protocols.append(protocol)
            candidates.append(protocol.local_candidate)
        if self._connection.turn_server is not None:
            relayed = await self._aioices_own(component, [])
            if not relayed:
                log.warning("the TURN server gave no address: is it there? is the secret right?")
            candidates += relayed
        return candidates

    def _sockets(self, addresses: Sequence[str]) -> list[socket.socket]:
        """All at once, before anything is waited for. Raises ServiceError where no address has a
        free port."""
        found: list[socket.socket] = []
        full: ServiceError | None = None
        for address in addresses:
            try:
                (opened,) = open_sockets(address, self._ports)
            except ServiceError as error:
                full = error
            except OSError as error:  # an interface that is just coming or going
                log.info("no socket at %s: %s", address, error)
            else:
                opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
                found.append(opened)
        if full is not None and not found:
            raise full
        return found


def announced(sdp: str, addresses: Sequence[str]) -> str:
    """The answer with these addresses for our own (1:1 NAT: a container's own address is reached
    by nobody). Every candidate is told once for each address of its family; without any of its
    family it is left out, as long as others remain."""
    families = {ipaddress.ip_address(address).version for address in addresses}
    kept = [line for line in sdp.splitlines() if _family(line) in families]
    if not kept:
        if addresses:
            log.warning("no candidate can be announced as %s: ours are", ", ".join(addresses))
        return sdp
    lines: list[str] = []
    for line in sdp.splitlines():
        family = _family(line)
        if family is None:
            lines.append(_connection_line(line, addresses))
        else:
            for address in addresses:
                if ipaddress.ip_address(address).version == family:
                    told = _told(line, address)
                    if told not in lines:
                        lines.append(told)
    return "\r\n".join(lines) + "\r\n"


def _family(line: str) -> int | None:
    """4 or 6 for a host candidate's line, None for any other."""
    fields = line.split(" ")
    if not line.startswith("a=candidate:") or fields[7:8] != ["host"]:
        return None
    return ipaddress.ip_address(fields[4]).version


def _told(line: str, address: str) -> str:
    """The candidate's line with this address, and a foundation of its own (RFC 8445, 5.1.1.3)."""
    fields = line.split(" ")
    fields[0] = "a=candidate:" + candidate_foundation("host", "udp", address)
    fields[4] = address
    return " ".join(fields)


def _connection_line(line: str, addresses: Sequence[str]) -> str:
    """The default candidate is one of those that are told (RFC 8839, section 4.2.1.2)."""
    if not re.match(r"c=IN IP[46] (?!0\.0\.0\.0$)", line):
        return line
    version = ipaddress.ip_address(addresses[0]).version
    return f"c=IN IP{version} {addresses[0]}"
