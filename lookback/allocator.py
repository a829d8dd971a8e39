"""Memory that is freed is used again, or given back."""

import ctypes
import os
import threading
import time
from typing import Final

_M_ARENA_MAX: Final = -8  # malloc.h
_ARENAS: Final = 2
_GIVE_BACK_SECONDS: Final = 60.0


def tidy(every: float = _GIVE_BACK_SECONDS) -> None:
    """For a process that runs for days: `few_arenas`, and `give_back` every so many seconds, on a
    thread that ends with the process. Call it before there are other threads."""
    few_arenas()

    def now_and_then() -> None:
        while True:
            time.sleep(every)
            give_back()

    threading.Thread(target=now_and_then, name="give-back", daemon=True).start()


def give_back() -> None:
    """Gives what is free between blocks in use back to the system, some milliseconds for hundreds
    of megabytes. glibc by itself gives back only what is free at the end of a pool, so that a
    process whose sessions come and go seems to grow. Nothing is done where the library has no
    `malloc_trim`."""
    library = ctypes.CDLL(None)
    if hasattr(library, "malloc_trim"):
        library.malloc_trim(0)


def few_arenas() -> None:
    """Has the C library's allocator keep two pools of free memory, and not eight for each core.

    Pictures are decoded on one thread and freed on another; by its default nearly every thread
    comes to keep a pool of its own, each with holes of its own, and a process that runs for days
    grows. `MALLOC_ARENA_MAX` overrides it. Nothing is done where the library is not glibc.
    """
    if "MALLOC_ARENA_MAX" in os.environ:
        return
    library = ctypes.CDLL(None)
    if hasattr(library, "gnu_get_libc_version"):
        library.mallopt(_M_ARENA_MAX, _ARENAS)
