"""A UDP port is read, but not at any price."""

import asyncio
import socket
import time
from pathlib import Path

import pytest

from server import rtp_socket
from server.rtp_socket import Address, UdpReader, plain
from server.udp import address_of, open_sockets
from tests.server.clients import eventually


def _descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_datagrams_are_heard_with_their_sender() -> None:
    heard: list[tuple[bytes, Address]] = []
    (opened,) = open_sockets("127.0.0.1", None)
    port = address_of(opened)[1]
    reader = UdpReader(opened, lambda datagram, sender: heard.append((datagram, sender)))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.bind(("127.0.0.1", 0))
        for datagram in (b"one", b"", bytes(60_000)):
            sender.sendto(datagram, ("127.0.0.1", port))
        await eventually(lambda: len(heard) == 3)
        assert heard[2] == (bytes(60_000), sender.getsockname()) and heard[1][0] == b""
    reader.close()
    reader.close()
    again = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    again.bind(("127.0.0.1", port))  # it is free
    again.close()


async def test_who_hears_may_close() -> None:
    heard: list[bytes] = []
    (opened,) = open_sockets("127.0.0.1", None)

    def hear(datagram: bytes, _: Address) -> None:
        heard.append(datagram)
        reader.close()

    port = address_of(opened)[1]
    before = _descriptors()
    reader = UdpReader(opened, hear)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for _ in range(5):
            sender.sendto(b"bye", ("127.0.0.1", port))
        await asyncio.sleep(0.1)
    assert heard == [b"bye"] and _descriptors() == before - 1


async def test_a_flood_leaves_time_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rtp_socket, "DATAGRAMS_PER_SECOND", 400.0)
    heard: list[bytes] = []
    (opened,) = open_sockets("127.0.0.1", None)
    port = address_of(opened)[1]
    reader = UdpReader(opened, lambda datagram, _: heard.append(datagram))
    began = time.monotonic()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        while time.monotonic() - began < 0.5:
            for _ in range(100):
                sender.sendto(b"junk", ("127.0.0.1", port))
            await asyncio.sleep(0.001)
    seconds = time.monotonic() - began
    assert reader.flooded > 0 and 100 <= len(heard) <= 100 + 400 * seconds + 1
    reader.close()


def test_addresses_have_one_form() -> None:
    assert plain("::ffff:10.0.0.7") == "10.0.0.7" and plain("2001:DB8:0::7") == "2001:db8::7"
    with pytest.raises(ValueError):
        plain("camera.example")
