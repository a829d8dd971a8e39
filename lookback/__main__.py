"""`python -m lookback`."""

from lookback.cli import app

app()
