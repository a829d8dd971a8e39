"""Media takes the UDP ports that it was given, and says so where there are none."""

import asyncio
import socket
from typing import Any

import pytest
from pydantic import ValidationError

from server.errors import ServiceError
from server.settings import GatewaySettings
from server.udp import PortRange, address_of, bind, open_sockets
from tests.server.ports import free_range


def test_the_range_and_the_addresses_are_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    assert GatewaySettings().udp_ports is None and GatewaySettings().media_address == ()
    monkeypatch.setenv("LOOKBACK_UDP_PORTS", " 50000-50100 ")
    monkeypatch.setenv("LOOKBACK_MEDIA_ADDRESS", "203.0.113.7, 2001:db8::7")
    settings = GatewaySettings()
    assert settings.udp_ports == PortRange(50000, 50100)
    assert len(PortRange(50000, 50100)) == 101 and str(settings.udp_ports) == "50000-50100"
    assert settings.media_address == ("203.0.113.7", "2001:db8::7")
    monkeypatch.setenv("LOOKBACK_UDP_PORTS", "")
    monkeypatch.setenv("LOOKBACK_MEDIA_ADDRESS", "")
    assert GatewaySettings().udp_ports is None and GatewaySettings().media_address == ()


@pytest.mark.parametrize("given", ["50000", "a-b", "50100-50000", "80-90", "1-70000", "5e4-6e4"])
def test_a_wrong_range_is_refused_in_words(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOOKBACK_UDP_PORTS", given)
    with pytest.raises(ValidationError, match=r"udp_ports(.|\n)*50000-50100"):
        GatewaySettings()


@pytest.mark.parametrize("given", ["media.example", "1.2.3", "203.0.113.7:5000", "::g"])
def test_a_wrong_address_is_refused_in_words(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOOKBACK_MEDIA_ADDRESS", given)
    with pytest.raises(ValidationError, match=r"media_address(.|\n)*IP address"):
        GatewaySettings()


def test_ports_are_taken_from_the_range_until_it_is_exhausted() -> None:
    ports = free_range(5)
    opened = [open_sockets("127.0.0.1", ports)[0] for _ in range(5)]
    taken = {address_of(one)[1] for one in opened}
    assert taken == {*range(ports.first, ports.last + 1)}
    with pytest.raises(ServiceError, match=rf"{ports}.*LOOKBACK_UDP_PORTS") as full:
        open_sockets("127.0.0.1", ports)
    assert (full.value.status, full.value.code) == (503, "no_udp_port")
    assert full.value.retry_after
    freed = address_of(opened[2])[1]
    opened.pop(2).close()
    again = open_sockets("127.0.0.1", ports)[0]
    assert address_of(again)[1] == freed
    for one in [*opened, again]:
        one.close()


@pytest.mark.parametrize("ports", [None, "range"])
def test_a_pair_is_an_even_port_and_the_next(ports: str | None) -> None:
    given = free_range(5) if ports else None
    first, second = open_sockets("127.0.0.1", given, 2)
    port = address_of(first)[1]
    assert port % 2 == 0 and address_of(second)[1] == port + 1
    if given:
        assert given.first <= port < given.last
    first.close()
    second.close()


def test_half_a_pair_is_not_kept() -> None:
    ports = free_range(2)
    even = ports.first + ports.first % 2
    blocker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    blocker.bind(("127.0.0.1", even + 1))
    with pytest.raises(ServiceError):
        open_sockets("127.0.0.1", PortRange(even, even + 1), 2)
    open_sockets("127.0.0.1", PortRange(even, even))[0].close()
    blocker.close()


def test_an_address_that_is_not_ours_is_no_lack_of_ports() -> None:
    with pytest.raises(OSError, match="assign"):
        open_sockets("192.0.2.1", PortRange(50000, 50100))


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
async def test_a_protocol_hears_what_comes(address: str) -> None:
    heard: asyncio.Queue[bytes] = asyncio.Queue()

    class Hearing(asyncio.DatagramProtocol):
        transport: Any

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport = transport

        def datagram_received(self, data: bytes, addr: object) -> None:
            heard.put_nowait(data)

    ports = free_range(3)
    protocol = await bind(Hearing, address, ports)
    (sender,) = open_sockets(address, None)
    name = protocol.transport.get_extra_info("sockname")
    assert ports.first <= name[1] <= ports.last
    sender.sendto(b"here", (address, name[1]))
    assert await asyncio.wait_for(heard.get(), 10) == b"here"
    sender.close()
    protocol.transport.close()
