"""The benchmark StreamRecall: `lookback bench recall`."""

from benchmarks.recall.run import run

__all__ = ["run"]
