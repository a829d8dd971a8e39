"""A wall clock that jumps as the file says that SKEWED_CLOCK names.

libfaketime would do it for any program, but it makes a Python process with many threads ten times
slower.
"""

import os
import time
from pathlib import Path


def skew() -> None:
    """From now on time.time() is off by so many seconds; time.monotonic() is not."""
    file = os.environ.get("SKEWED_CLOCK")
    if file is None:
        return
    true, path = time.time, Path(file)
    time.time = lambda: true() + float(path.read_text())
