"""A process with many threads keeps few pools of free memory."""

import os
import platform
import subprocess
import sys
from typing import Final

import pytest

_THREADS: Final = """
import ctypes, sys, threading
from lookback.allocator import few_arenas
few_arenas()
library = ctypes.CDLL(None)
library.malloc.restype = ctypes.c_void_p
together = threading.Barrier(12)
def take():
    together.wait()
    for _ in range(100):
        library.malloc(1000)
    together.wait()
threads = [threading.Thread(target=take) for _ in range(12)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
library.fdopen.restype = ctypes.c_void_p
out = ctypes.c_void_p(library.fdopen(1, b"w"))
library.malloc_info(0, out)
library.fflush(out)
"""


_HOLES: Final = """
import ctypes, time
from lookback.allocator import tidy
tidy(0.1)
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096
library = ctypes.CDLL(None)
library.malloc.restype = ctypes.c_void_p
library.free.argtypes = [ctypes.c_void_p]
before = resident()
blocks = [library.malloc(60_000) for _ in range(1000)]
for block in blocks:
    ctypes.memset(block, 1, 60_000)
full = resident()
for block in blocks[:-1]:  # the last one stands in the way
    library.free(block)
deadline = time.monotonic() + 20
while resident() > before + 10_000_000 and time.monotonic() < deadline:
    time.sleep(0.05)
print(full - before, resident() - before)
"""


def _arenas(**environment: str) -> int:
    ran = subprocess.run(
        [sys.executable, "-c", _THREADS],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return ran.stdout.count("<heap nr=")


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another allocator has no arenas")
def test_a_process_has_few_arenas_unless_it_is_told_otherwise() -> None:
    assert _arenas() <= 2
    assert _arenas(MALLOC_ARENA_MAX="6") > 2


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another allocator is not told to")
def test_what_is_free_between_blocks_is_given_back() -> None:
    ran = subprocess.run([sys.executable, "-c", _HOLES], capture_output=True, text=True, check=True)
    full, after = map(int, ran.stdout.split())
    assert full > 50_000_000
    assert after < 10_000_000
