"""What is measured, one file a benchmark: `lookback bench NAME`. They report; they do not judge.

A benchmark is a module with `DESCRIPTION` and `run(...) -> dict`, whose result is JSON. One that
takes long has a parameter `progress`, which it calls with a line of text; options that cannot be
are an `OptionError`.
"""

from collections.abc import Callable
from typing import Any

from benchmarks import (
    compress,
    endless,
    gateway,
    ingest,
    load,
    page,
    policy_check,
    recall,
    sessions,
    snapshot,
    soak,
    ttft,
)

BENCHMARKS: dict[str, Callable[..., dict[str, Any]]] = {
    "compress": compress.run,
    "endless": endless.run,
    "gateway": gateway.run,
    "ingest": ingest.run,
    "load": load.run,
    "page": page.run,
    "policy-check": policy_check.run,
    "recall": recall.run,
    "sessions": sessions.run,
    "snapshot": snapshot.run,
    "soak": soak.run,
    "ttft": ttft.run,
}
