"""UDP ports for tests."""

import random
import socket

from server.udp import PortRange


def free_range(count: int) -> PortRange:
    """So many UDP ports in a row that nobody else has."""
    # Below those that the system gives by itself.
    begin = random.randrange(20000, 30000)
    for first in range(begin, 32000, count):
        opened = []
        try:
            for port in range(first, first + count):
                one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                opened.append(one)
                one.bind(("0.0.0.0", port))
            return PortRange(first, first + count - 1)
        except OSError:
            continue
        finally:
            for one in opened:
                one.close()
    raise AssertionError("this machine has no free ports")
