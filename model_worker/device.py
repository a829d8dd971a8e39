"""How much memory a device has left."""

import os
from pathlib import Path
from typing import Final

import torch

_MEMINFO: Final = Path("/proc/meminfo")
_CGROUP: Final = Path("/sys/fs/cgroup")


def free_bytes(device: torch.device) -> int | None:
    """Bytes that can still be allocated on a device; None where nothing says so.

    CUDA: what the driver has free and what torch keeps for itself without using it. CPU: what
    Linux calls available (free memory and caches that it would give up), within the limit of the
    process's control group if that is lower, as in a container.
    """
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        idle = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(free + idle)
    if device.type != "cpu":
        return None
    found = [size for size in (_available(_MEMINFO), _left(_CGROUP)) if size is not None]
    return min(found) if found else _free_pages()


def _available(meminfo: Path) -> int | None:
    """MemAvailable of Linux, see proc_meminfo(5)."""
    try:
        lines = meminfo.read_text().splitlines()
    except OSError:
        return None
    sizes = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
    return 1024 * int(sizes[0]) if sizes else None


def _left(cgroup: Path) -> int | None:
    """What version 2 of control groups leaves: its limit less what is used and not mere cache."""
    try:
        limit = (cgroup / "memory.max").read_text().strip()
        used = int((cgroup / "memory.current").read_text())
        statistics = (cgroup / "memory.stat").read_text().splitlines()
    except OSError:
        return None
    if limit == "max":
        return None
    cached = next(
        (int(line.split()[1]) for line in statistics if line.startswith("inactive_file ")), 0
    )
    return max(0, int(limit) - used + cached)


def _free_pages() -> int | None:
    """Elsewhere than on Linux, where the system counts free pages."""
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError):
        return None
