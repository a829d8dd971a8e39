"""The `lookback` command: everything together on one machine, and each part alone."""
