"""Memory that is freed is used again, or given back."""

import ctypes
import os
from typing import Final

_M_ARENA_MAX: Final = -8  # malloc.h
_ARENAS: Final = 2


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
