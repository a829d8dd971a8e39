"""The disk for snapshots is full."""

import asyncio
import contextlib
import os
import resource
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.figures import Figures
from tests.faults.part import Part
from tests.faults.service import service
from tests.faults.unharmed import no_leak
from tests.faults.user import user


class Disk:
    """A megabyte of its own; where nothing may be mounted, a limit on the size of files stands in
    for it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(folder)]
        self.mounted = subprocess.run(mount, capture_output=True).returncode == 0
        self.error = "No space left" if self.mounted else "File too large"
        self._filler = folder / "filler"

    def fill(self, worker: Part) -> None:
        """Nothing more has room, of this worker."""
        if not self.mounted:
            resource.prlimit(worker.pid, resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
            return
        with self._filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(os.urandom(4096))

    def empty(self, worker: Part) -> None:
        """There is room again."""
        limit = resource.RLIM_INFINITY
        resource.prlimit(worker.pid, resource.RLIMIT_FSIZE, (limit, limit))
        self._filler.unlink(missing_ok=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    made = Disk(tmp_path / "disk")
    yield made
    if made.mounted:
        subprocess.run(["umount", str(made.folder)], check=True)


async def test_a_full_disk(disk: Disk, tmp_path: Path, checkpoint: Path, figures: Figures) -> None:
    kept = disk.folder / "kept"
    with service(tmp_path, checkpoint) as parts:
        gateway = parts.gateway()
        worker = parts.worker("one", snapshots=str(kept))
        parts.ready()
        async with no_leak(gateway), user(gateway.url) as one:
            async with asyncio.timeout(30):
                while not list(kept.glob("*.snapshot")):  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
            disk.fill(worker)
            at = time.monotonic()
            async with asyncio.timeout(30):
                while disk.error not in worker.said:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
            async with user(gateway.url) as two:
                assert (await two.ask("and you")).status == "incomplete"
            back = await one.answered(at)
            assert worker.said.count(disk.error) == 1, "it is said once"
            assert list(kept.glob("*.snapshot")), "the latest whole one stays"
            assert not list(kept.glob("*.partial"))
            # What was written last is what the next worker has.
            worker.kill()
            worker.start()
            moved = await one.until("lookback.session.moved", since=at)
            assert moved["restored"], moved
            await one.answered(at)
            disk.empty(worker)
            async with asyncio.timeout(30):
                before = time.time()
                while not [p for p in kept.glob("*.snapshot") if p.stat().st_mtime > before]:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
            assert (await one.ask("still there")).status == "incomplete"
    figures.note(
        "disk full for snapshots",
        "nothing; the worker's log says it once",
        back,
        "what is newer than the last whole snapshot, if the worker is lost, too "
        f"({moved['lost_seconds']:.1f} s in the test)",
    )
