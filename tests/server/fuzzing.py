"""What the campaigns of hostile input share: their size, and what must hold after each.

By default each is short and always the same. `make fuzz`, or LOOKBACK_FUZZ_EXAMPLES=5000, tries so
many inputs, others every time; what it finds is printed as a `reproduce_failure` line.
"""

import asyncio
import gc
import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx
from hypothesis import HealthCheck, settings

from tests.server.clients import data_url, new_session

_EXAMPLES = int(os.environ.get("LOOKBACK_FUZZ_EXAMPLES", "0"))
_MEBIBYTE = 2**20
_LOGGERS = ("", "uvicorn", "uvicorn.error", "uvicorn.access")


def campaign(examples: int) -> settings:
    """Hypothesis' settings for so many inputs, or as many as were asked for."""
    return settings(
        max_examples=_EXAMPLES or examples,
        derandomize=not _EXAMPLES,
        database=None,
        deadline=None,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )


def resident() -> float:
    """MiB of memory that this process uses, the gateway with it."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / _MEBIBYTE


class Held(NamedTuple):
    """What this process holds, the gateway with it."""

    descriptors: int
    tasks: int
    threads: int
    mebibytes: float

    @staticmethod
    def now() -> "Held":
        gc.collect()
        tasks = sum(isinstance(it, asyncio.Task) and not it.done() for it in gc.get_objects())
        return Held(
            len(list(Path("/proc/self/fd").iterdir())),
            tasks,
            threading.active_count(),
            resident(),
        )


# The loop's and Starlette's pools of threads fill up to their size; allocators keep some memory; an
# input or two are good enough to make a session, of four tasks each, that stays for a minute. Of
# hundreds of inputs that leak there is more.
_MORE = Held(descriptors=8, tasks=10, threads=16, mebibytes=96)


# What uvicorn says of a client that goes in the middle of its handshake.
_NO_FAULT = "ASGI callable returned without completing handshake."


class _Faults(logging.Handler):
    """Keeps what the gateway logs as its own fault."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        fault = record.levelno >= logging.ERROR or record.exc_info
        if fault and record.getMessage() != _NO_FAULT:
            self.said.append(logging.Formatter().format(record))


def _answered(url: str, session: str) -> bool:
    """Whether a session sees and answers."""
    content = [
        {"type": "image_url", "image_url": {"url": data_url()}},
        {"type": "text", "text": "still there?"},
    ]
    body = {"model": session, "messages": [{"role": "user", "content": content}]}
    reply = httpx.post(f"{url}/v1/chat/completions", json=body, timeout=30)
    return reply.status_code == 200 and "still there?" in reply.text


@contextmanager
def unharmed(url: str) -> Iterator[str]:
    """A session for a campaign; afterwards another one is answered as it was before, nothing was
    logged as a fault of the gateway's, and nothing is left over."""
    neighbour = new_session(url)
    assert _answered(url, neighbour)
    faults = _Faults()
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    for logger in loggers:
        logger.addHandler(faults)
    before = Held.now()
    session = new_session(url)
    try:
        yield session
        assert httpx.get(f"{url}/health").status_code == 200
        assert _answered(url, neighbour)
        httpx.delete(f"{url}/v1/sessions/{session}").raise_for_status()
        after = _settled(before)
    finally:
        for logger in loggers:
            logger.removeHandler(faults)
    assert not faults.said, "\n".join(faults.said)
    more = [have - had for have, had in zip(after, before, strict=True)]
    assert all(m <= most for m, most in zip(more, _MORE, strict=True)), (before, after)


def _settled(before: Held, seconds: float = 40) -> Held:
    """What is held when what ends has ended."""
    deadline = time.monotonic() + seconds
    while True:
        held = Held.now()
        if all(h <= b + m for h, b, m in zip(held, before, _MORE, strict=True)):
            return held
        if time.monotonic() > deadline:
            return held
        time.sleep(0.1)
