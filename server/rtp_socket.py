"""A UDP socket that is read at most so fast: a flood is left to the kernel, which throws it away
for nothing, while the event loop serves others.

Knows nothing about RTP.
"""

import asyncio
import contextlib
import functools
import ipaddress
import socket
from collections.abc import Callable
from typing import Final

from server.rate import Rate

_MOST_BYTES: Final = 65535
_BUFFER_BYTES: Final = 2**22
_AT_ONCE: Final = 64
# 3840×2160 at 60 frames and 100 Mbit/s is 10,000.
DATAGRAMS_PER_SECOND: Final = 20_000.0
_PAUSE_SECONDS: Final = 0.02

Address = tuple[str, int]
"""Of an IP address, in its shortest form, and a port."""


class UdpReader:
    """Hands every datagram that comes to `hear`, until it is closed. Owns the socket. flooded:
    how often more came than is read."""

    def __init__(self, opened: socket.socket, hear: Callable[[bytes, Address], None]) -> None:
        self._socket = opened
        self._hear = hear
        self._loop = asyncio.get_running_loop()
        self._rate = Rate(DATAGRAMS_PER_SECOND, DATAGRAMS_PER_SECOND / 4)
        self._pause: asyncio.TimerHandle | None = None
        self.flooded = 0
        with contextlib.suppress(OSError):  # a keyframe of 4K comes in one burst of 1 MB
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
        opened.setblocking(False)
        self._loop.add_reader(opened, self._read)

    def close(self) -> None:
        """Frees the port at once; calling it twice does no harm."""
        if self._pause is not None:
            self._pause.cancel()
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket)
            self._socket.close()

    def _read(self) -> None:
        for _ in range(_AT_ONCE):
            if self._socket.fileno() < 0:  # closed by what was heard
                return
            if not self._rate.allows():
                self.flooded += 1
                self._loop.remove_reader(self._socket)
                self._pause = self._loop.call_later(_PAUSE_SECONDS, self._resume)
                return
            try:
                datagram, sender = self._socket.recvfrom(_MOST_BYTES)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                continue  # an ICMP error of something sent before; the next one may be well
            self._hear(datagram, (plain(sender[0]), sender[1]))

    def _resume(self) -> None:
        self._pause = None
        self._loop.add_reader(self._socket, self._read)


@functools.lru_cache(1024)
def plain(address: str) -> str:
    """An IP address in one form, wherever it comes from: `::ffff:10.0.0.7` is 10.0.0.7. Raises
    ValueError for what is none."""
    parsed = ipaddress.ip_address(address)
    return str(getattr(parsed, "ipv4_mapped", None) or parsed)
