"""What is measured, one file a benchmark: `lookback bench NAME`. They report; they do not judge.

A benchmark is a module with `DESCRIPTION` and `run(...) -> dict`, whose result is JSON.
"""

from collections.abc import Callable
from typing import Any

from benchmarks import compress, ttft

BENCHMARKS: dict[str, Callable[..., dict[str, Any]]] = {
    "compress": compress.run,
    "ttft": ttft.run,
}
