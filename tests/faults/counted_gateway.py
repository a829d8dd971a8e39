"""`lookback gateway`, which writes how many of its asyncio tasks live to a file on SIGUSR1."""

import asyncio
import gc
import signal
import sys
import threading
from pathlib import Path

from tests.faults.skewed import skew


def _count(path: Path) -> None:
    while True:
        signal.sigwait({signal.SIGUSR1})
        gc.collect()
        tasks = [o for o in gc.get_objects() if isinstance(o, asyncio.Task) and not o.done()]
        names = sorted(repr(task.get_coro()) for task in tasks)
        partial = path.with_suffix(".partial")
        partial.write_text("\n".join(names))
        partial.replace(path)


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})  # for all threads; one waits for it
    threading.Thread(target=_count, args=(Path(sys.argv.pop()),), daemon=True).start()
    skew()
    from lookback.cli import app

    app(["gateway"])
