"""A bad way between a sender and a gateway."""

import heapq
import random
import socket
import threading
import time


class Relay:
    """Takes datagrams at its own port and sends them on, but for those that it loses; a fifth
    comes late by so many seconds. What is lost, and what is late, is by the seed."""

    def __init__(self, to: int, seed: int, *, loss: float = 0.05, late: float = 0.03) -> None:
        self._to = ("127.0.0.1", to)
        self._chance = random.Random(seed)
        self._loss, self._late = loss, late
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.settimeout(0.005)
        self.port: int = self._socket.getsockname()[1]
        self.lost = self.overtaken = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Relay":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self._socket.close()

    def _run(self) -> None:
        waiting: list[tuple[float, int, bytes]] = []
        number = 0
        newest = -1
        while not self._ended.is_set():
            try:
                datagram = self._socket.recv(65535)
            except TimeoutError:
                datagram = b""
            except ConnectionRefusedError:
                continue
            now = time.monotonic()
            if datagram and self._chance.random() < self._loss:
                self.lost += 1
            elif datagram:
                delay = self._late * self._chance.random() if self._chance.random() < 0.2 else 0.0
                number += 1
                heapq.heappush(waiting, (now + delay, number, datagram))
            while waiting and waiting[0][0] <= now:
                _, sent, datagram = heapq.heappop(waiting)
                self.overtaken += sent < newest
                newest = max(newest, sent)
                self._socket.sendto(datagram, self._to)
