"""What every process says of itself: log lines and traces. Knows no part of the service."""
