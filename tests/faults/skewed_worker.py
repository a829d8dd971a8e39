"""`lookback worker` with a wall clock that jumps."""

from tests.faults.skewed import skew

if __name__ == "__main__":
    skew()
    from lookback.cli import app

    app()
