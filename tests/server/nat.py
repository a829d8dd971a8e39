"""UDP ports of one address that lead to those of another, as a container's published ones do."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from server.udp import PortRange, listen, open_sockets


class _Inner(asyncio.DatagramProtocol):
    """Speaks to the inside for one sender outside."""

    def __init__(self, outer: "_Outer", sender: Any) -> None:
        self._outer = outer
        self._sender = sender
        self.transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self._outer.transport.sendto(data, self._sender)


class _Outer(asyncio.DatagramProtocol):
    """A published port."""

    def __init__(self, inside: tuple[str, int]) -> None:
        self._inside = inside
        self._inner: dict[Any, asyncio.Task[_Inner]] = {}
        self.transport: Any = None
        self.passed = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        if addr not in self._inner:
            self._inner[addr] = asyncio.create_task(self._opened(addr))
        task = self._inner[addr]
        task.add_done_callback(lambda task: task.result().transport.sendto(data, self._inside))
        self.passed += 1

    async def _opened(self, sender: Any) -> _Inner:
        (opened,) = open_sockets("127.0.0.1", None)
        return await listen(lambda: _Inner(self, sender), opened)

    async def close(self) -> None:
        self.transport.close()
        for task in self._inner.values():
            (await task).transport.close()


@contextlib.asynccontextmanager
async def published(ports: PortRange, outside: str, inside: str) -> AsyncIterator[list[_Outer]]:
    """Every port of the range at the address `outside` leads to the same one at `inside`."""
    open_ports = []
    for port in range(ports.first, ports.last + 1):
        (opened,) = open_sockets(outside, PortRange(port, port))
        open_ports.append(await listen(lambda port=port: _Outer((inside, port)), opened))
    try:
        yield open_ports
    finally:
        for one in open_ports:
            await one.close()
