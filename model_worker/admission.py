"""Whether one more session fits: arithmetic on bytes, before anything is allocated."""

from dataclasses import dataclass

RETRY_AFTER_SECONDS = 5.0


@dataclass(frozen=True)
class Refusal:
    """Why not; retry_after (seconds) is None where waiting cannot help."""

    message: str
    retry_after: float | None


@dataclass(frozen=True)
class Admission:
    """A worker's limits. kv_bytes None: only the number of sessions limits."""

    max_sessions: int
    kv_bytes: int | None = None

    def refusal(self, wanted: int, used: int, sessions: int) -> Refusal | None:
        """None where a session of `wanted` KV bytes fits beside `sessions` that take `used`."""
        if self.kv_bytes is not None and wanted > self.kv_bytes:
            return Refusal(
                f"The session's memory takes {_mb(wanted)} and the worker has {_mb(self.kv_bytes)} "
                "for all: ask for a smaller budget_tokens.",
                None,
            )
        if sessions >= self.max_sessions:
            return Refusal(
                f"All {self.max_sessions} sessions of this worker are taken.", RETRY_AFTER_SECONDS
            )
        if self.kv_bytes is not None and used + wanted > self.kv_bytes:
            return Refusal(
                f"The session's memory takes {_mb(wanted)}; {_mb(self.kv_bytes - used)} of "
                f"{_mb(self.kv_bytes)} are free.",
                RETRY_AFTER_SECONDS,
            )
        return None


def _mb(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
